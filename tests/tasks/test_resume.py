"""A run that was killed, cut or finished goes on where it stopped, with the same numbers."""

import csv
import json
import signal
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from tests.forked import Python
from tests.tasks.training import cdmtrain, same_weights, weights, words

KILLER = """
import os, signal, sys
from cdmtrain import cli
from cdmtrain.classifier import Classifier
step, counted = Classifier.training_step, [0]
def training_step(self, batch, batch_index):
    counted[0] += 1
    if counted[0] == {step}:
        os.kill(os.getpid(), signal.SIGKILL)
    return step(self, batch, batch_index)
Classifier.training_step = training_step
sys.exit(cli.main())
"""


@pytest.mark.parametrize(
    "setting",
    [
        "scheduler=onecycle augmentation=symmetries callbacks=weight_averaging",
        "scheduler=plateau scheduler.scheduler.patience=0 trainer.accumulate_grad_batches=2",
    ],
)
def test_a_run_killed_in_mid_epoch_and_resumed_ends_bit_identical(
    here: Path, challenge_file: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, python: Python, setting: str
) -> None:
    file = challenge_file(num_events=200)
    settings = ["trainer.max_epochs=3", "callbacks.checkpoint.every_seconds=0", *setting.split()]
    assert cdmtrain(monkeypatch, *words(file, here / "undisturbed", *settings)) == 0

    script = KILLER.format(step=17 + 9)  # the ninth of the second epoch's seventeen steps
    killed = python(script, *words(file, here / "killed", *settings))
    assert killed.returncode == -signal.SIGKILL
    assert json.loads((here / "killed" / "status.json").read_text())["state"] == "running"
    config = (here / "killed" / "config.yaml").read_bytes()
    assert cdmtrain(monkeypatch, f"run={here / 'killed'}", "print_config=false") == 0

    assert same_weights(here / "undisturbed", here / "killed", "last")
    assert same_weights(here / "undisturbed", here / "killed", "best")
    assert (here / "killed" / "config.yaml").read_bytes() == config
    assert rows_without_times(here / "undisturbed") == rows_without_times(here / "killed")
    with h5py.File(here / "undisturbed/predictions.h5") as one, h5py.File(here / "killed/predictions.h5") as other:
        np.testing.assert_array_equal(one["probability"], other["probability"])


def rows_without_times(run: Path) -> list[dict[str, str]]:
    with (run / "metrics.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    return [{k: v for k, v in row.items() if k not in ("epoch_seconds", "events_per_second")} for row in rows]


def test_going_on_with_a_finished_run_changes_nothing_but_the_page(
    here: Path, challenge_file: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = challenge_file(num_events=100)
    assert cdmtrain(monkeypatch, *words(file, here / "run", "trainer.max_epochs=1")) == 0
    before = {path: path.read_bytes() for path in (here / "run").glob("**/*.*") if path.parent.name != "report"}
    capsys.readouterr()
    assert cdmtrain(monkeypatch, f"run={here / 'run'}") == 0
    assert "is finished; nothing is left to train" in capsys.readouterr().out
    assert {path.name for path in before if path.read_bytes() != before[path]} == set()


def test_a_run_killed_after_its_results_is_finished_when_gone_on_with(
    here: Path, challenge_file: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cdmtrain(monkeypatch, *words(challenge_file(num_events=100), here / "run", "trainer.max_epochs=1")) == 0
    status = here / "run/status.json"
    status.write_text(status.read_text().replace('"finished"', '"running"'))
    results = json.loads((here / "run/results.json").read_text())
    assert cdmtrain(monkeypatch, f"run={here / 'run'}", "print_config=false") == 0
    assert json.loads(status.read_text())["state"] == "finished"
    again = json.loads((here / "run/results.json").read_text())
    assert again | {"peak_memory_bytes": 0} == results | {"peak_memory_bytes": 0}


def test_a_run_does_not_go_on_with_other_events(
    here: Path, challenge_file: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = challenge_file(num_events=100)
    assert cdmtrain(monkeypatch, *words(file, here / "run", "trainer.max_epochs=1")) == 0
    (here / "run/results.json").unlink()
    challenge_file(num_events=90)
    assert cdmtrain(monkeypatch, f"run={here / 'run'}", "print_config=false") == 1
    assert "was begun with 100 events (84, 8, 8)" in capsys.readouterr().err


@pytest.mark.parametrize(
    "settings",
    [
        "trainer.max_epochs=2",
        "trainer.max_epochs=40 callbacks=early_stopping callbacks.early_stopping.patience=1 optimizer.lr=1",
    ],
)
def test_a_run_whose_evaluation_was_cut_is_evaluated_without_training_again(
    here: Path, challenge_file: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, settings: str
) -> None:
    file = challenge_file(num_events=100)
    assert cdmtrain(monkeypatch, *words(file, here / "run", *settings.split())) == 0
    results = json.loads((here / "run/results.json").read_text())
    assert results["epochs"] < 40
    trained = weights(here / "run")
    (here / "run/results.json").unlink()
    (here / "run/predictions.h5").unlink()
    assert cdmtrain(monkeypatch, f"run={here / 'run'}", "print_config=false") == 0
    assert all(torch.equal(value, trained[name]) for name, value in weights(here / "run").items())
    again = json.loads((here / "run/results.json").read_text())
    assert again | {"peak_memory_bytes": 0} == results | {"peak_memory_bytes": 0}
