"""Runs of earlier versions are opened, evaluated and gone on with by this one."""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from cdmtrain import cli, load_run

RUNS = sorted((Path(__file__).parent / "fixtures").glob("run_*"))
COST = ("events_per_second", "train_seconds", "peak_memory_bytes")


@pytest.fixture(params=RUNS, ids=lambda run: run.name)
def run(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of a run, with its events where its configuration looks for them."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(request.param, "run")
    shutil.copyfile("run/events.h5", "events.h5")
    return Path("run")


def typed(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["cdmtrain", *words])
    return cli.main()


def figures(folder: Path) -> dict[str, Any]:
    results = json.loads((folder / "results.json").read_text())
    return {name: value for name, value in results.items() if name not in COST}


def assert_same_figures(found: Path, recorded: Path) -> None:
    one, other = figures(found), figures(recorded)
    for part in ("confusion_matrix", "val_confusion_matrix"):
        assert one.pop(part) == other.pop(part)
    for name, value in other.items():
        # float32 sums of another machine or version; 30 events
        assert one[name] == pytest.approx(value, abs=1e-4), name


def test_there_is_a_run_of_an_earlier_version() -> None:
    assert RUNS


def test_an_old_run_is_evaluated_to_the_figures_it_recorded(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert typed(monkeypatch, "task=evaluate", "run=run") == 0
    (folder,) = Path("outputs/evaluate").iterdir()
    assert_same_figures(folder, run)
    assert (folder / "report/index.html").is_file()


def test_an_old_run_says_of_images_what_it_said(run: Path) -> None:
    with h5py.File("events.h5") as events, h5py.File(run / "predictions.h5") as recorded:
        said = load_run(run).predict(events["image"][:][recorded["index"][:]])
        np.testing.assert_allclose(said.probability, recorded["probability"], atol=1e-5)


def test_an_old_run_that_was_cut_is_gone_on_with(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (run / "results.json").rename("recorded.json")
    status = json.loads((run / "status.json").read_text())
    (run / "status.json").write_text(json.dumps(status | {"state": "running"}))
    assert typed(monkeypatch, "run=run", "print_config=false") == 0
    Path("recorded").mkdir()
    Path("recorded.json").rename("recorded/results.json")
    assert_same_figures(run, Path("recorded"))
