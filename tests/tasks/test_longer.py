"""`run=R trainer.max_epochs=40` trains a run longer, in place, as if it had been that long from the beginning."""

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
import yaml

from tests.forked import Python
from tests.tasks.test_resume import KILLER, rows_without_times
from tests.tasks.training import cdmtrain, same_weights, words

Train = Callable[..., int]
CONSTANT = [  # every rate that does not depend on the end of the training
    "optimizer=adamw augmentation=symmetries",
    "callbacks=weight_averaging trainer.accumulate_grad_batches=2",
    "scheduler=plateau scheduler.scheduler.patience=0 callbacks=early_stopping",
    "scheduler=step scheduler.scheduler.milestones=[3]",
]


@pytest.fixture
def train(here: Path, challenge_file: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Train:
    """Trains a new run on the same 100 events; words that begin with run= continue one."""
    file = challenge_file(num_events=100)

    def train(*more: str) -> int:
        if more[0].startswith("run="):
            return cdmtrain(monkeypatch, *more, "print_config=false")
        return cdmtrain(monkeypatch, *words(file, Path(more[0]), *more[1:]))

    return train


def read(run: str, name: str) -> Any:
    return json.loads(Path(run, name).read_text())


def assert_same(one: str, other: str) -> None:
    """Two runs end with the same numbers, whatever they took."""
    assert same_weights(Path(one), Path(other), "last")
    assert same_weights(Path(one), Path(other), "best")
    assert rows_without_times(Path(one)) == rows_without_times(Path(other))
    of_cost = ("events_per_second", "train_seconds", "peak_memory_bytes")
    results = [{k: v for k, v in read(run, "results.json").items() if k not in of_cost} for run in (one, other)]
    assert results[0] == results[1]
    with h5py.File(f"{one}/predictions.h5") as first, h5py.File(f"{other}/predictions.h5") as second:
        np.testing.assert_array_equal(first["probability"], second["probability"])


@pytest.mark.parametrize("setting", CONSTANT)
def test_a_run_trained_longer_equals_one_trained_that_long_at_once(train: Train, setting: str) -> None:
    assert train("once", "trainer.max_epochs=5", *setting.split()) == 0
    assert train("run", "trainer.max_epochs=2", *setting.split()) == 0
    assert train("run=run", "trainer.max_epochs=5") == 0
    assert_same("once", "run")
    configs = [yaml.safe_load(Path(run, "config.yaml").read_text()) for run in ("once", "run")]
    assert configs[0] == configs[1] | {key: configs[0][key] for key in ("run_dir", "sweep")}
    (entry,) = read("run", "provenance.json")["trained_longer"]
    assert entry["changed"] == {"trainer.max_epochs": [2, 5]}
    assert entry["epochs"] == 2


@pytest.mark.parametrize("steps", [18, 13], ids=["whole epochs", "within an epoch"])
def test_a_run_of_some_steps_trained_longer_equals_one_of_that_many_at_once(train: Train, steps: int) -> None:
    settings = ["callbacks=weight_averaging", "trainer.max_epochs=-1"]
    assert train("once", "trainer.max_steps=30", *settings) == 0
    assert train("run", f"trainer.max_steps={steps}", *settings) == 0
    assert train("run=run", "trainer.max_steps=30") == 0
    assert_same("once", "run")


@pytest.mark.slow
def test_a_run_that_is_killed_while_it_is_trained_longer_goes_on(train: Train, python: Python) -> None:
    assert train("once", "trainer.max_epochs=4") == 0
    assert train("run", "trainer.max_epochs=2") == 0
    for step in (1, 4, 12):  # before the first save, after it, and in the next epoch
        longer = ["run=run", "trainer.max_epochs=4"] if step == 1 else ["run=run"]
        done = python(KILLER.format(step=step), *longer, "print_config=false")
        assert done.returncode == -signal.SIGKILL
    assert train("run=run", "trainer.max_epochs=4") == 0
    assert_same("once", "run")
    assert len(read("run", "provenance.json")["trained_longer"]) == 1
    assert read("run", "status.json")["state"] == "finished"


def test_typing_it_again_changes_nothing(train: Train, capsys: pytest.CaptureFixture[str]) -> None:
    assert train("run", "trainer.max_epochs=1") == 0
    assert train("run=run", "trainer.max_epochs=2") == 0
    before = {path: path.read_bytes() for path in Path("run").glob("**/*.*")}
    capsys.readouterr()
    assert train("run=run", "trainer.max_epochs=2") == 0
    assert "is finished; nothing is left to train" in capsys.readouterr().out
    assert {path.name for path in before if path.read_bytes() != before[path]} == set()


def test_the_command_that_began_a_longer_run_goes_on_with_it(
    train: Train, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = ("run", "trainer.max_epochs=1", "scheduler=step", "scheduler.scheduler.milestones=[1]")
    assert train(*begin) == 0
    assert train("run=run", "trainer.max_epochs=2", "scheduler=none", "optimizer.lr=2e-4") == 0
    with monkeypatch.context() as patch:
        patch.setattr("cdmtrain.training.make_trainer", lambda *_, **__: 1 / 0)
        assert train("run=run", "trainer.max_epochs=3") == 1
    assert train(*begin) == 0
    assert len(rows_without_times(Path("run"))) == 3
    capsys.readouterr()
    assert train(*begin) == 0
    assert "is finished; nothing is left to train" in capsys.readouterr().out
    assert train(begin[0], "trainer.max_epochs=3", *begin[2:]) == 1  # it was begun with another end
    assert "holds a run with other settings" in capsys.readouterr().err


@pytest.mark.parametrize("schedule", ["onecycle", "cosine"])
def test_an_ended_schedule_goes_on_at_a_constant_rate_or_not_at_all(
    train: Train, schedule: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train("run", "trainer.max_epochs=1", f"scheduler={schedule}") == 0
    before = Path("run/config.yaml").read_bytes()
    for typed, sentence in {
        "": "go on at a constant rate with scheduler=none optimizer.lr=..., or begin a new run with its weights",
        "scheduler=none": "scheduler=none keeps the rate constant; add it: optimizer.lr=...",
        "scheduler=step": "leave out scheduler=",
        "optimizer.lr=1": "planned for a training of fixed length",
    }.items():
        assert train("run=run", "trainer.max_epochs=3", *typed.split()) == 1
        assert sentence in capsys.readouterr().err
        assert Path("run/config.yaml").read_bytes() == before
    assert train("run=run", "trainer.max_epochs=3", "scheduler=none", "optimizer.lr=2e-4") == 0
    rates = [float(row["learning_rate"]) for row in rows_without_times(Path("run"))]
    assert rates[1:] == [2e-4, 2e-4]
    group = torch.load("run/checkpoints/last.ckpt", weights_only=True)["optimizer_states"][0]["param_groups"][0]
    assert group["betas"] == (0.9, 0.999)  # one cycle moves them too
    record = read("run", "provenance.json")
    assert record["trained_longer"][0]["changed"]["optimizer.lr"] == [0.001, 2e-4]
    assert not [key for key in record["changed"] if key.startswith("scheduler")]
    assert "scheduler" not in yaml.safe_load(Path("run/config.yaml").read_text())
    assert train("run=run", "trainer.max_epochs=4") == 0


PAST = [
    (["trainer.max_steps=10"], "run has 18 steps behind it; trainer.max_steps=10 would be fewer"),
    (["trainer.max_steps=99"], "run ended after 2 epochs; raise trainer.max_epochs=2 too"),
    (["trainer.max_epochs=1"], "run has 2 epochs behind it; trainer.max_epochs=1 would be fewer"),
    (
        ["trainer.max_epochs=3", "seed=2"],
        "leave out seed=2, or begin a new run with its weights: weights=run",
    ),
    (["trainer.max_epochs=3", "data.train_events=9"], "weights=run data.train_events=9"),
    (["model=dnn"], "or begin a new run with its weights: weights=run model=dnn"),
    (["optimizer.lr=1e-5"], "leave out optimizer.lr=1e-5"),
    (["trainer.max_epochs=3", "trainer.precision=bf16-mixed"], "leave out trainer.precision=bf16-mixed"),
    (["trainer.max_epochs=many"], "trainer.max_epochs=many: a whole number is expected"),
]


def test_what_would_change_the_past_is_refused_and_changes_nothing(
    train: Train, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train("run", "trainer.max_epochs=2") == 0
    before = {path: path.read_bytes() for path in Path("run").glob("**/*.*")}
    for typed, sentence in PAST:
        assert train("run=run", *typed) == 1, typed
        assert sentence in capsys.readouterr().err
        assert {path.name for path in before if path.read_bytes() != before[path]} == set(), typed


def test_a_run_that_stopped_early_is_offered_a_new_beginning(train: Train, capsys: pytest.CaptureFixture[str]) -> None:
    early = "callbacks=early_stopping callbacks.early_stopping.patience=1 optimizer.lr=1 trainer.max_epochs=20"
    assert train("run", *early.split()) == 0
    assert train("run=run", "trainer.max_epochs=40") == 1
    error = capsys.readouterr().err
    assert "run stopped early in epoch" in error
    assert "begin a new run with its weights: weights=run" in error
