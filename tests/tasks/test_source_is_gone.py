"""Once its events are converted or simulated, a run needs neither the source file nor the simulation again."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import h5py
import numpy as np
import pytest

from cdmtrain import cli
from cdmtrain.classifier import Classifier
from cdmtrain.errors import InputError
from cdmtrain.simulation import Simulator

TRAIN = ["run_dir=run", "trainer=cpu", "trainer.max_epochs=2", "model.channels=[2]", "data.batch_size=10"]
FILE = ["data=hdf5", "data.files=[events.h5]", "data.image_size=16"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def after_epoch_1(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], None]:
    """Calls a function at the end of the first training epoch."""

    def register(action: Callable[[], object]) -> None:
        end = Classifier.on_train_epoch_end

        def on_train_epoch_end(self: Classifier) -> None:
            end(self)
            if self.current_epoch == 0:
                action()

        monkeypatch.setattr(Classifier, "on_train_epoch_end", on_train_epoch_end)

    return register


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs a command; what it writes to standard error."""

    def run(*words: str) -> str:
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", ["cdmtrain", *words, "print_config=false"])
        status, error = cli.main(), capsys.readouterr().err
        assert (status == 0) == (error == ""), error
        return error

    return run


@pytest.fixture
def interrupted(
    folder: Path, challenge_file: Callable[..., Path], command: Any, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """The events.h5 of the run `run`, which stopped in its second epoch."""
    file, step = challenge_file(num_events=100), Classifier.training_step

    def training_step(self: Classifier, batch: Any, batch_index: int) -> Any:
        if self.current_epoch == 1:
            raise InputError("stop")
        return step(self, batch, batch_index)

    with monkeypatch.context() as patch:
        patch.setattr(Classifier, "training_step", training_step)
        assert command(*FILE, *TRAIN, "callbacks.checkpoint.every_seconds=0") == "error: stop\n"
    return file


def epochs() -> int:
    """How many epochs the finished run has."""
    assert json.loads(Path("run/status.json").read_text())["state"] == "finished"
    return int(json.loads(Path("run/results.json").read_text())["epochs"])


def test_a_file_moved_after_the_first_epoch_does_not_stop_the_training(
    folder: Path, challenge_file: Callable[..., Path], command: Any, after_epoch_1: Any
) -> None:
    file = challenge_file(num_events=100)
    after_epoch_1(lambda: file.rename("moved.h5"))
    assert command(*FILE, *TRAIN) == ""
    assert epochs() == 2
    assert Path("moved.h5").exists()
    assert not file.exists()


def test_a_sample_whose_store_is_removed_after_the_first_epoch_is_not_simulated_again(
    folder: Path, command: Any, after_epoch_1: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    simulated, blocks = [], Simulator.blocks

    def counted(self: Simulator, **settings: Any) -> Any:
        simulated.append(settings)
        return blocks(self, **settings)

    monkeypatch.setattr(Simulator, "blocks", counted)
    after_epoch_1(lambda: Path("outputs/cache").rename("moved"))
    assert command("data.events=60", "simulation.image_size=16", *TRAIN) == ""
    assert epochs() == 2
    assert simulated == [{"events": 60, "seed": 1}]


def test_a_run_resumes_without_its_file(interrupted: Path, command: Any) -> None:
    interrupted.unlink()
    assert command("run=run") == ""
    assert epochs() == 2


def test_a_run_without_its_file_and_its_converted_events_is_one_sentence(interrupted: Path, command: Any) -> None:
    interrupted.unlink()
    Path("outputs/cache").rename("moved")
    assert command("run=run") == (
        f"error: events.h5 does not exist (looked for in {Path.cwd()}), and outputs/cache does not hold its events; "
        "put the file back, or restore that directory\n"
    )


def test_a_run_does_not_resume_with_other_events_of_the_same_name(
    interrupted: Path, challenge_file: Callable[..., Path], command: Any
) -> None:
    challenge_file(num_events=100, seed=2)
    assert "error: run was begun with 100 events (84, 8, 8) of " in command("run=run")


def test_a_run_is_evaluated_without_its_file(trained: SimpleNamespace, folder: Path, command: Any) -> None:
    moved = trained.file.rename(trained.file.with_name("moved.h5"))
    try:
        cache = f"data.cache_dir={trained.file.parent}"
        assert command("task=evaluate", f"run={trained.path}", "trainer=cpu").endswith(f"kept them: {cache}\n")
        assert command("task=evaluate", f"run={trained.path}", "trainer=cpu", cache) == ""
        (evaluation,) = Path("outputs/evaluate").iterdir()
        with h5py.File(evaluation / "predictions.h5") as one, h5py.File(trained.path / "predictions.h5") as other:
            np.testing.assert_array_equal(one["probability"], other["probability"])
        typed = ["data=hdf5", f"data.files=[{trained.file}]"]
        error = command("task=evaluate", f"run={trained.path}", "trainer=cpu", *typed)
        assert error.startswith(f"error: {trained.file} does not exist")
    finally:
        moved.rename(trained.file)
