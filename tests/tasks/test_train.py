"""A run leaves what the design promises, and a killed run ends where an undisturbed one does."""

import csv
import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from filelock import FileLock
from omegaconf import OmegaConf

from cdmtrain import cli
from cdmtrain.particles import NAMES

TRAIN = ["model.channels=[2,4]", "data.image_size=16", "data.batch_size=10", "trainer=cpu", "print_config=false"]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def cdmtrain(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["cdmtrain", *words])
    return cli.main()


def words(file: Path, run_dir: Path, *more: str) -> list[str]:
    return ["data=hdf5", f"data.files=[{file}]", f"run_dir={run_dir}", *TRAIN, *more]


def weights(run_dir: Path, name: str = "last") -> dict[str, torch.Tensor]:
    checkpoint = torch.load(run_dir / "checkpoints" / f"{name}.ckpt", weights_only=True)
    return {key: value for key, value in checkpoint["state_dict"].items() if key.startswith("model.")}


def same_weights(one: Path, other: Path, name: str = "last") -> bool:
    first, second = weights(one, name), weights(other, name)
    return first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)


def test_a_run_leaves_the_directory_of_the_design(
    here: Path, challenge_file: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = challenge_file(num_events=200)
    assert cdmtrain(monkeypatch, "data=hdf5", f"data.files=[{file}]", *TRAIN, "trainer.max_epochs=2") == 0
    (run,) = (here / "outputs" / "train" / "cnn").iterdir()

    config = OmegaConf.load(run / "config.yaml")
    assert config.model.channels == [2, 4]
    assert config.data.seed == config.seed == 1  # resolved
    provenance = json.loads((run / "provenance.json").read_text())
    assert provenance["choices"]["model"] == "cnn"
    assert provenance["data"]["train"] == 168
    status = json.loads((run / "status.json").read_text())
    assert (status["state"], status["epoch"], status["error"]) == ("finished", 2, None)
    with (run / "metrics.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert all(float(row[name]) > 0 for row in rows for name in ("train_loss", "val_loss", "learning_rate"))
    results = json.loads((run / "results.json").read_text())
    assert set(results["roc_auc"]) == set(results["efficiency"]) == set(results["val_purity"]) == set(NAMES)
    assert np.sum(results["confusion_matrix"]) == 16
    assert results["parameters"] == 10 + 36 + 4 * 4 * 4 * 4 + 4
    assert results["epochs"] == 2
    with h5py.File(run / "predictions.h5") as predictions:
        probability = predictions["probability"][:]
        truth = predictions["class_index"][:]
        np.testing.assert_array_equal(predictions["index"], np.arange(184, 200))
        np.testing.assert_allclose(probability.sum(1), 1, rtol=1e-6)
        assert results["accuracy"] == pytest.approx((probability.argmax(1) == truth).mean())
        with h5py.File(file) as source:
            images = source["image"][184:]
        np.testing.assert_array_equal(predictions["lit_pixels"], (images > 0).sum((1, 2)))
        np.testing.assert_allclose(predictions["deposited_energy_mev"], images.sum((1, 2)), rtol=1e-6)
    assert (run / "report" / "index.html").stat().st_size > 10_000
    printed = capsys.readouterr().out
    assert "epoch 2/2" in printed
    assert "index.html" in printed


def test_steps_end_a_training_as_well_as_epochs(
    here: Path, challenge_file: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """168 training events in 17 steps an epoch, validated every second one: 40 steps are two epochs and six steps."""
    file = challenge_file(num_events=200)
    settings = ["trainer.max_epochs=-1", "trainer.max_steps=40", "trainer.check_val_every_n_epoch=2"]
    assert cdmtrain(monkeypatch, *words(file, here / "run", "scheduler=onecycle", *settings)) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("epoch ")]
    assert [("val_loss" in line, line.split()[1]) for line in lines] == [(False, "1"), (True, "2"), (False, "3")]
    assert torch.load(here / "run" / "checkpoints" / "last.ckpt", weights_only=True)["global_step"] == 40
    with (here / "run" / "metrics.csv").open() as stream:
        last = list(csv.DictReader(stream))[-1]
    assert float(last["learning_rate"]) < 1e-4  # one cycle is of these 40 steps
    status = json.loads((here / "run" / "status.json").read_text())
    assert status["expected_end"] <= status["ended"]  # all 40 were done when it was last told


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(
    here: Path, challenge_file: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = challenge_file(num_events=100)
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        assert cdmtrain(monkeypatch, *words(file, here / name, f"seed={seed}", "trainer.max_epochs=1")) == 0
    assert same_weights(here / "a", here / "b")
    assert not same_weights(here / "a", here / "c")


KILLER = """
import os, signal, sys
from cdmtrain import cli
from cdmtrain.classifier import Classifier
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have started the tests without it
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
    here: Path, challenge_file: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, setting: str
) -> None:
    file = challenge_file(num_events=200)
    settings = ["trainer.max_epochs=3", "callbacks.checkpoint.every_seconds=0", *setting.split()]
    assert cdmtrain(monkeypatch, *words(file, here / "undisturbed", *settings)) == 0

    script = KILLER.format(step=17 + 9)  # the ninth of the second epoch's seventeen steps
    killed = subprocess.run([sys.executable, "-c", script, *words(file, here / "killed", *settings)], check=False)
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


def test_a_debug_run_of_an_experiment_is_one_step_and_a_whole_directory(
    here: Path, challenge_file: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = challenge_file(num_events=100)
    typed = [word for word in words(file, here / "run") if not word.startswith("model.")]
    assert cdmtrain(monkeypatch, *typed, "experiment=lecture_gnn", "trainer=debug") == 0
    left = {path.name for path in (here / "run").iterdir()}
    assert {"config.yaml", "provenance.json", "status.json", "metrics.csv", "results.json", "predictions.h5"} <= left
    assert torch.load(here / "run/checkpoints/last.ckpt", weights_only=True)["global_step"] == 1


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


def test_a_directory_that_holds_another_run_is_refused(
    here: Path, challenge_file: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    typed = words(challenge_file(num_events=100), here / "run", "trainer.max_epochs=1")
    assert cdmtrain(monkeypatch, *typed) == 0
    assert cdmtrain(monkeypatch, *typed) == 0
    assert cdmtrain(monkeypatch, *typed, "seed=2") == 1
    assert "run holds a run with other settings" in capsys.readouterr().err


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


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (["run=nowhere"], "run=nowhere: there is no config.yaml in it; give the directory of a run"),
        (["run=nowhere", "seed=2"], "run= continues with that run's own configuration; leave out seed=2"),
        (["callbacks=progress"], "callbacks has no checkpoint"),
        (["representation=graph"], "model CNN takes Image, and GraphRepresentation gives Graph"),
        (["trainer.limit_val_batches=0"], "no epoch would be validated"),
        (["trainer.precision=64-true"], "trainer.precision=64-true: one of 32-true, bf16-mixed, 16-mixed is expected"),
        (["trainer.precision=bf16-mixed", "trainer.gradient_clip_val=1"], "needs an optimizer that is not fused"),
        (["seed=-1"], "seed=-1: a whole number from 0 on is expected"),
        (["callbacks.checkpoint.monitor=val_los"], "callbacks.checkpoint.monitor=val_los is not logged"),
        (["callbacks.checkpoint.mode=least"], "callbacks.checkpoint.mode=least: min or max is expected"),
    ],
)
def test_what_cannot_be_trained_is_one_sentence(
    here: Path,
    challenge_file: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    settings: list[str],
    sentence: str,
) -> None:
    resumes = any(setting.startswith("run=") for setting in settings)
    typed = settings if resumes else words(challenge_file(), here / "run", "trainer=debug", *settings)
    assert cdmtrain(monkeypatch, *typed) == 1
    error = capsys.readouterr().err
    assert sentence in error
    assert "Traceback" not in error
    if not resumes:
        status = json.loads((here / "run/status.json").read_text())
        assert status["state"] == "failed"
        assert sentence in status["error"]


def test_a_run_that_another_process_trains_is_left_alone(
    here: Path, challenge_file: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "run").mkdir()
    with FileLock(here / "run" / ".lock"):
        assert cdmtrain(monkeypatch, *words(challenge_file(), here / "run")) == 1
    assert "is being trained by another process" in capsys.readouterr().err
