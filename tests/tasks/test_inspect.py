"""cdmtrain task=inspect from the command to its files."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from cdmtrain import cli
from cdmtrain.data.cache import load_or_convert
from cdmtrain.data.store import EventStore
from cdmtrain.particles import DEFAULT, NAMES, PDG_CODES
from cdmtrain.report.dataset.tables import make_tables
from cdmtrain.tasks import inspect

Inspect = Callable[..., int]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Inspect:
    """Runs `cdmtrain task=inspect` in an empty directory; returns the exit status."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")

    def command(*words: str) -> int:
        monkeypatch.setattr(sys, "argv", ["cdmtrain", "task=inspect", *words])
        return cli.main()

    return command


def test_run_dir_says_where_the_page_is_written(run: Inspect, challenge_file: Callable[..., Path]) -> None:
    assert run(*of(challenge_file("a.h5")), "run_dir=here") == 0
    assert Path("here/index.html").is_file()
    assert not Path("outputs/inspect").exists()


def of(*files: Path) -> list[str]:
    return ["data=hdf5", f"data.files=[{','.join(map(str, files))}]"]


def result() -> tuple[Path, dict[str, Any]]:
    folder = max(Path("outputs/inspect").iterdir(), key=lambda path: path.stat().st_mtime_ns)
    return folder, json.loads((folder / "inspection.json").read_text())


def test_a_file_is_shown_with_its_numbers(
    run: Inspect, challenge_file: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    file = challenge_file("a.h5", num_events=60, image_size=24)
    with h5py.File(file, "a") as stream:
        stream["image"][3] = 0
        stream["kinetic_energy_mev"] = np.linspace(50, 250, 60, dtype=np.float32)
        images, pdg = stream["image"][:].astype(np.float64), stream["pdg"][:]
    assert run(*of(file)) == 0
    folder, found = result()
    assert found["comparison"] is None
    sample = found["sample"]
    assert (sample["title"], sample["events"], sample["image_size"]) == ("a.h5", 60, 24)
    assert (sample["pixel_mean"], sample["pixel_std"]) == pytest.approx((images.mean(), images.std()), rel=1e-9)
    for name, code in zip(NAMES, PDG_CODES, strict=True):
        mine, figures = images[pdg == code], sample["classes"][name]
        assert figures["events"] == len(mine)
        assert figures["mean_sum_mev"] == pytest.approx(mine.sum(axis=(1, 2)).mean(), rel=1e-9)
        assert figures["vertex_at_edge"] is None
    assert sample["classes"]["all"]["events_without_lit_pixel"] == 1
    text = capsys.readouterr().out
    assert "60 events of 24 x 24 pixels" in text
    assert max(map(len, text.splitlines()[:-1])) <= 80
    assert (folder / "index.html").stat().st_size > 100_000
    assert (folder / "particles.png").read_bytes().startswith(b"\x89PNG")


def test_a_reference_is_compared(
    run: Inspect, challenge_file: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    file, other = challenge_file("a.h5"), challenge_file("b.h5", num_events=90, seed=2)
    assert run(*of(file), f"reference={other}", "examples=1") == 0
    folder, found = result()
    assert (found["sample"]["events"], found["reference"]["events"]) == (60, 90)
    assert list(found["comparison"]) == [*NAMES, "all"]
    assert 0 < found["comparison"]["all"]["sum_mev_ks"] < 1
    assert found["comparison"]["all"]["vertex_to_edge_px_ks"] is None  # the files know no vertex
    assert "Kolmogorov-Smirnov distance from b.h5" in capsys.readouterr().out
    assert (folder / "particles_reference.png").is_file()


def test_a_file_without_pdg_is_one_class_unknown(tmp_path: Path, challenge_file: Callable[..., Path]) -> None:
    file = challenge_file()
    with h5py.File(file, "a") as stream:
        del stream["pdg"]
    store = EventStore([load_or_convert(file, tmp_path / "cache")])
    sample = inspect.measure_store(store, DEFAULT)
    assert sample.present == ["unknown"]
    assert inspect.examples(store, sample, number=3)["unknown"].shape == (3, 16, 16)
    assert list(inspect.content([sample], make_tables([sample]), {})["sample"]["classes"]) == ["unknown"]


def test_figures_do_not_depend_on_the_size_of_the_blocks(
    tmp_path: Path, challenge_file: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    files = challenge_file("a.h5"), challenge_file("b.h5", seed=4)
    store = EventStore([load_or_convert(file, tmp_path / "cache") for file in files])
    whole = inspect.measure_store(store, DEFAULT)
    monkeypatch.setattr(inspect, "EVENTS_PER_BLOCK", 7)
    found = inspect.measure_store(store, DEFAULT)
    assert all(np.array_equal(found.event[key], whole.event[key]) for key in whole.event)
    assert np.array_equal(found.spectrum, whole.spectrum)
    assert found.cell_mev == pytest.approx(whole.cell_mev, rel=1e-12)  # order of float64 sums
    assert (whole.title, len(whole.class_index)) == ("a.h5, b.h5", 120)


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("reference=big.h5", "big.h5 has images of 24 x 24 pixels, the data 16 x 16; give a reference of the same"),
        ("reference=none.h5", "reference=none.h5 is not a file"),
        ("examples=0", "examples=0: at least 1"),
    ],
)
def test_what_cannot_be_shown_is_answered_in_a_sentence(
    run: Inspect,
    challenge_file: Callable[..., Path],
    capsys: pytest.CaptureFixture[str],
    word: str,
    sentence: str,
) -> None:
    file = challenge_file("a.h5")
    challenge_file("big.h5", image_size=24)
    assert run(*of(file), word) == 1
    assert sentence in capsys.readouterr().err
    assert not Path("outputs/inspect").exists()
