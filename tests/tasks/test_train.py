"""A run leaves what the design promises, and a killed run ends where an undisturbed one does."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from cdmtrain.lock import Lock
from cdmtrain.particles import NAMES
from tests.tasks.training import TRAIN, cdmtrain, same_weights, words


@pytest.mark.page
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


def test_a_debug_run_of_an_experiment_is_one_step_and_a_whole_directory(
    here: Path, challenge_file: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = challenge_file(num_events=100)
    typed = [word for word in words(file, here / "run") if not word.startswith("model.")]
    assert cdmtrain(monkeypatch, *typed, "experiment=lecture_gnn", "trainer=debug") == 0
    left = {path.name for path in (here / "run").iterdir()}
    assert {"config.yaml", "provenance.json", "status.json", "metrics.csv", "results.json", "predictions.h5"} <= left
    assert torch.load(here / "run/checkpoints/last.ckpt", weights_only=True)["global_step"] == 1


def test_a_directory_that_holds_another_run_is_refused(
    here: Path, challenge_file: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    typed = words(challenge_file(num_events=100), here / "run", "trainer.max_epochs=1")
    assert cdmtrain(monkeypatch, *typed) == 0
    assert cdmtrain(monkeypatch, *typed) == 0
    assert cdmtrain(monkeypatch, *typed, "seed=2") == 1
    assert "run holds a run with other settings" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (["run=nowhere"], "run=nowhere: there is no config.yaml in it; give the directory of a run"),
        (["run=nowhere", "seed=2"], "run= continues with that run's own configuration; leave out seed=2"),
        (["callbacks=progress"], "callbacks has no checkpoint"),
        (["representation=graph"], "model CNN takes Hits or Image, and GraphRepresentation gives Graph"),
        (["trainer.limit_val_batches=0"], "no epoch would be validated"),
        (["trainer.precision=64-true"], "trainer.precision=64-true: one of 32-true, bf16-mixed, 16-mixed is expected"),
        (["scheduler=onecycle", "trainer.max_epochs=-1", "trainer.max_steps=-1"], "max_epochs=-1 sets no end"),
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
    with Lock(here / "run" / ".lock").held():
        assert cdmtrain(monkeypatch, *words(challenge_file(), here / "run")) == 1
    assert "is being trained by another process" in capsys.readouterr().err
