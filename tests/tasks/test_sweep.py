"""A sweep goes on past what fails, and run again does what is left: nothing twice, nothing lost."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cdmtrain import cli
from cdmtrain.classifier import Classifier
from cdmtrain.errors import InputError
from cdmtrain.lock import Lock

SMALL = ["model.width=4", "data.image_size=16", "data.batch_size=20", "trainer=cpu", "print_config=false"]
Sweep = Callable[..., int]


@pytest.fixture
def sweep(tmp_path: Path, challenge_file: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Sweep:
    """Runs a sweep over 100 events in this process, in the directory sweep/; returns the exit status."""
    monkeypatch.chdir(tmp_path)
    file = challenge_file(num_events=100)

    def run(*words: str) -> int:
        typed = ["cdmtrain", "-m", "data=hdf5", f"data.files=[{file}]", "sweep.dir=sweep", *SMALL]
        monkeypatch.setattr(sys, "argv", [*typed, "trainer.max_epochs=2", *words])
        return cli.main()

    return run


def states(tmp_path: Path) -> dict[str, str]:
    files = sorted((tmp_path / "sweep").glob("*/status.json"))
    return {file.parent.name.rpartition("_")[0]: json.loads(file.read_text())["state"] for file in files}


def test_a_sweep_with_a_failed_job_ends_with_a_leaderboard_and_is_put_right_by_the_same_command(
    sweep: Sweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    step = Classifier.training_step

    def unlucky(self: Classifier, batch: object, batch_index: int) -> object:
        if self._seed == 1 and self.current_epoch == 1:
            raise InputError("seed 1 has no luck")
        return step(self, batch, batch_index)  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr(Classifier, "training_step", unlucky)
        assert sweep("model=dnn", "seed=1,2") == 1
    shown = capsys.readouterr()
    assert "2 runs: 1 finished, 1 failed" in shown.out
    assert "to go on with what failed: the same command with sweep.dir=sweep" in shown.out
    assert shown.err.endswith("seed=1: seed 1 has no luck\n")
    assert "seed 1 has no luck" in (tmp_path / "sweep/leaderboard.html").read_text()
    finished = {path: path.stat().st_mtime_ns for path in (tmp_path / "sweep").glob("dnn_seed2*/**/*.*")}

    assert sweep("seed=2,3,1", "model=dnn") == 0  # longer and in another order
    shown = capsys.readouterr()
    assert states(tmp_path) == {"dnn_seed1": "finished", "dnn_seed2": "finished", "dnn_seed3": "finished"}
    assert {path: path.stat().st_mtime_ns for path in finished} == finished
    assert "failed before and goes on from its last checkpoint" in shown.out
    assert "epoch 1/2" in shown.out  # of seed 3
    assert "mean over 3 seeds" in shown.out
    assert (tmp_path / "sweep/leaderboard.csv").read_text().count("\n") == 2


def test_of_two_sweeps_in_one_directory_each_leaves_the_other_its_runs(
    sweep: Sweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    acquire, taken = Lock.acquire, list[Lock]()

    def acquiring(self: Lock, **patience: Any) -> None:
        if "seed1_" in str(self.path) and not taken:
            taken.append(Lock(self.path))  # the other sweep is a moment earlier
            acquire(taken[0])
        acquire(self, **patience)

    monkeypatch.setattr(Lock, "acquire", acquiring)
    assert sweep("model=dnn", "seed=1,2") == 1
    assert "is being trained by another process (process " in capsys.readouterr().err
    assert states(tmp_path) == {"dnn_seed2": "finished"}
    taken[0].release()
    assert sweep("model=dnn", "seed=1,2") == 0
    assert states(tmp_path) == {"dnn_seed1": "finished", "dnn_seed2": "finished"}


def test_folds_are_cross_validation(sweep: Sweep, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert sweep("model=dnn", "data.split.folds=3", "data.split.fold=0,1,2") == 0
    assert "mean over 3 folds" in capsys.readouterr().out
    assert len(list((tmp_path / "sweep").glob("dnn_seed1_*"))) == 3
    counts = [json.loads(path.read_text())["data"] for path in (tmp_path / "sweep").glob("*/provenance.json")]
    assert sorted((one["train"], one["val"], one["test"]) for one in counts) == [(61, 31, 8), (61, 31, 8), (62, 30, 8)]


def test_the_page_of_a_run_in_a_sweep_repeats_that_run_alone(sweep: Sweep, tmp_path: Path) -> None:
    assert sweep("model=dnn", "seed=1,2", "trainer=debug") == 0
    commands = [json.loads(path.read_text())["command"] for path in (tmp_path / "sweep").glob("*/provenance.json")]
    assert [command.split()[-2:] for command in sorted(commands)] == [["model=dnn", f"seed={seed}"] for seed in (1, 2)]
    assert not any("sweep" in command or " -m" in command for command in commands)
