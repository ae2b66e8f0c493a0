"""pretrained.h5 is read as it was written, and refused where it is damaged."""

from pathlib import Path

import numpy as np
import pytest
import torch

from cdmtrain.callbacks.predictions import write_columns
from cdmtrain.errors import InputError
from cdmtrain.runs.pretrained import read_pretrained

COLUMNS = {  # two events of 3 x 3 pixels; the second has no hit
    "class_index": np.array([2, -1]),
    "offset": np.array([0, 2, 2]),
    "pixel": np.array([1, 8]),
    "energy_mev": np.array([0.5, 2.0], np.float32),
    "hidden": np.array([0, 1], np.uint8),
    "asked_offset": np.array([0, 2, 3]),
    "asked_pixel": np.array([7, 8, 0]),
    "asked_probability": np.array([0.1, 0.9, 0.2], np.float32),
    "asked_energy_mev": np.array([0.3, 1.5, 0.4], np.float32),
    "map_position": np.arange(6.0).reshape(3, 2),
    "map_share": np.array([0.6, 0.2]),
    "map_class_index": np.array([0, 3, -1]),
}


def write(run: Path, **changes: np.ndarray | None) -> None:
    columns = {name: values for name, values in (COLUMNS | changes).items() if values is not None}
    write_columns(
        run / "pretrained.h5", {name: torch.from_numpy(values) for name, values in columns.items()}, image_size=3
    )


def test_what_was_filled_in_is_read_as_images(tmp_path: Path) -> None:
    write(tmp_path)
    found = read_pretrained(tmp_path, 4)
    assert found is not None
    assert found.filled_in is not None
    assert found.filled_in.energy_mev[0].tolist() == [[0, 0.5, 0], [0, 0, 0], [0, 0, 2]]
    assert found.filled_in.seen_mev[0].tolist() == [[0, 0.5, 0], [0, 0, 0], [0, 0, 0]]
    assert np.isfinite(found.filled_in.probability).sum((1, 2)).tolist() == [2, 1]
    assert found.filled_in.predicted_mev[0, 2, 2] == 1.5
    assert found.position.tolist() == [[0, 1], [2, 3], [4, 5]]
    assert found.class_index.tolist() == [0, 3, -1]


def test_an_objective_that_hides_nothing_has_the_map_alone(tmp_path: Path) -> None:
    write(tmp_path, **dict.fromkeys([name for name in COLUMNS if not name.startswith("map")], None))
    found = read_pretrained(tmp_path, 4)
    assert found is not None
    assert found.filled_in is None
    assert len(found.position) == 3


def test_a_run_without_the_file_has_nothing_to_show(tmp_path: Path) -> None:
    assert read_pretrained(tmp_path, 4) is None


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("pixel", np.array([1, 9])),
        ("asked_pixel", np.array([-1, 8, 0])),
        ("offset", np.array([0, 3, 2])),
        ("asked_offset", np.array([1, 2, 3])),
        ("class_index", np.array([4, 0])),
        ("map_class_index", np.array([0, 3, -2])),
        ("map_position", np.zeros((2, 2))),
        ("asked_probability", np.zeros(2, np.float32)),
        ("hidden", np.zeros(3, np.uint8)),
        ("map_share", None),
    ],
)
def test_a_damaged_file_is_refused(tmp_path: Path, name: str, values: np.ndarray | None) -> None:
    write(tmp_path, **{name: values})
    with pytest.raises(InputError, match=r"pretrained.h5 is damaged"):
        read_pretrained(tmp_path, 4)
