"""The figures of what was learned show the numbers of learned.h5, and a damaged file is named."""

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from cdmtrain.errors import InputError
from cdmtrain.runs.predictions import read_learned
from tests.report.run.pages import TEST, TRAINING, figures, page_of, table_of

MakeRun = Callable[..., Path]


def write_learned(path: Path, **changes: np.ndarray) -> None:
    """Two events of three lit pixels each in images of 60 x 60, the kernels, attention and graph of a network."""
    columns = {
        "class_index": np.array([0, 3]),
        "offset": np.array([0, 3, 6]),
        "pixel": np.array([0, 61, 122, 1800, 1801, 1802]),
        "energy_mev": np.array([1, 2, 3, 1, 1, 1], np.float32),
        "kernel": np.arange(8, dtype=np.float32).reshape(2, 2, 2) - 4,
        "attention": np.array([0.1, 0.2, 0.3, 0.0, 0.0, 1.0], np.float32),
        "edge": np.array([[0, 1, 3], [1, 2, 4]]),
    }
    with h5py.File(path, "w") as file:
        file.update(columns | changes)
        file.attrs["image_size"] = 60


def test_the_page_draws_kernels_attention_and_graph(make_run: MakeRun) -> None:
    run_dir = make_run(num_events=50)
    assert "What was learned" not in page_of(run_dir)
    write_learned(run_dir / "learned.h5")
    assert "What was learned" in page_of(run_dir)
    assert figures(run_dir) == TRAINING | TEST | {"kernels", "attention", "graph"}
    assert [float(row["weight"]) for row in table_of(run_dir, "kernels")] == list(range(-4, 4))
    attention = table_of(run_dir, "attention")
    assert [row["truth"] for row in attention] == ["electron"] * 3 + ["proton"] * 3
    assert (attention[2]["row"], attention[2]["column"], float(attention[5]["attention"])) == ("2", "2", 1)
    edges = [{name: int(row[name]) for name in list(row)[2:]} for row in table_of(run_dir, "graph")]
    assert edges[1] == {"from_column": 1, "from_row": 1, "to_column": 2, "to_row": 2}
    assert edges[2] == {"from_column": 0, "from_row": 30, "to_column": 1, "to_row": 30}


def test_a_network_that_diverged_has_figures_too(make_run: MakeRun) -> None:
    run_dir = make_run(num_events=50)
    nothing = np.full(6, np.nan, np.float32)
    write_learned(run_dir / "learned.h5", kernel=nothing.reshape(1, 2, 3), attention=nothing)
    assert {"kernels", "attention", "graph"} < figures(page_of(run_dir) and run_dir)


@pytest.mark.parametrize(
    ("name", "values", "reason"),
    [
        ("kernel", np.zeros(3), "kernel is float64 of shape"),
        ("kernel", np.zeros((0, 2, 2)), "kernel is float64 of shape"),
        ("edge", np.array(1), "edge is int64 of shape"),
        ("attention", np.zeros(5), "attention is float64 of shape"),
        ("edge", np.array([[0], [6]]), "an edge joins pixels beyond the 6 of the events"),
        ("edge", np.zeros((3, 1), int), "edge is int64 of shape"),
        ("pixel", np.full(6, 3600), "pixels do not fit images of 60 x 60"),
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, name: str, values: np.ndarray, reason: str) -> None:
    write_learned(tmp_path / "learned.h5", **{name: values})
    with pytest.raises(InputError, match=f"learned.h5 is damaged .{reason}"):
        read_learned(tmp_path, 4)
