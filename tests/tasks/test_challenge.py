"""experiment=challenge, on small files with the challenge's names: weights of every validation, a test at the end."""

import csv
import json
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_module

import cdmtrain
from cdmtrain import cli
from tests.forked import Python

SMALL = ["data.image_size=16", "data.batch_size=10", "model.channels=[2]", "trainer=cpu", "print_config=false"]
SHORT = ["trainer.max_epochs=3", "trainer.limit_train_batches=4", "callbacks.checkpoint.every_seconds=0"]
KEPT = ["epoch_01_step_4.ckpt", "epoch_02_step_8.ckpt", "epoch_03_step_12.ckpt"]

KILLER = """
import os, signal, sys
from cdmtrain import cli
from cdmtrain.classifier import Classifier
step, counted = Classifier.training_step, [0]
def training_step(self, batch, batch_index):
    counted[0] += 1
    if counted[0] == 7:
        os.kill(os.getpid(), signal.SIGKILL)
    return step(self, batch, batch_index)
Classifier.training_step = training_step
sys.exit(cli.main())
"""


@pytest.fixture
def words(tmp_path: Path, challenge_file: Callable[..., Path]) -> list[str]:
    challenge_file("if-image-train.h5", num_events=100)
    challenge_file("if-image-test.h5", num_events=30, seed=2)
    return ["experiment=challenge", f"data.dir={tmp_path}", f"data.cache_dir={tmp_path / 'cache'}", *SMALL, *SHORT]


def weights(run: Path, name: str) -> dict[str, torch.Tensor]:
    return dict(torch.load(run / "checkpoints" / name, weights_only=True)["state_dict"])


def test_the_experiment_has_70000_steps_and_validates_every_2500() -> None:
    with initialize_config_module("cdmtrain.conf", version_base="1.3"):
        cfg = compose("config", overrides=["experiment=challenge", "model=dnn"])
    assert (cfg.trainer.limit_train_batches, cfg.trainer.max_epochs * cfg.trainer.limit_train_batches) == (2500, 70_000)
    assert 0.9 * 400_000 / cfg.data.batch_size > cfg.trainer.limit_train_batches  # enough batches for an epoch
    assert cfg.trainer.check_val_every_n_epoch == 1


def test_every_validation_keeps_its_weights_and_a_resumed_run_has_the_same(
    tmp_path: Path, words: list[str], monkeypatch: pytest.MonkeyPatch, python: Python
) -> None:
    run, killed = tmp_path / "run", tmp_path / "killed"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["cdmtrain", *words, f"run_dir={run}"])
    assert cli.main() == 0
    assert sorted(path.name for path in (run / "checkpoints").iterdir()) == ["best.ckpt", *KEPT, "last.ckpt"]
    data = json.loads((run / "provenance.json").read_text())["data"]
    assert (data["train"], data["val"], data["test"]) == (90, 10, 30)

    with (run / "metrics.csv").open() as stream:
        figures = {int(row["epoch"]): float(row["val_loss"]) for row in csv.DictReader(stream)}
    with h5py.File(tmp_path / "if-image-train.h5") as file:
        images, truth = file["image"][90:], np.searchsorted([11, 13, 22, 2212], file["pdg"][90:])
    for epoch, name in enumerate(KEPT, start=1):
        trained = cdmtrain.load_run(run, checkpoint=str(run / "checkpoints" / name))
        probability = trained.predict(images).probability[np.arange(10), truth]
        assert -np.log(probability).mean() == pytest.approx(figures[epoch], rel=1e-4)  # the probabilities are float32
    best = min(figures, key=lambda epoch: figures[epoch])
    assert all(
        torch.equal(value, weights(run, KEPT[best - 1])[key]) for key, value in weights(run, "best.ckpt").items()
    )
    with h5py.File(run / "predictions.h5") as predictions:
        np.testing.assert_array_equal(predictions["index"], np.arange(30))  # those of the test file

    assert python(KILLER, *words, f"run_dir={killed}").returncode == -signal.SIGKILL
    monkeypatch.setattr(sys, "argv", ["cdmtrain", f"run={killed}", "print_config=false"])
    assert cli.main() == 0
    for name in KEPT:
        for key, value in weights(run, name).items():
            assert torch.equal(value, weights(killed, name)[key]), (name, key)
