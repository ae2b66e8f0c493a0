"""task=pretrain: learn without labels, resume, and begin a training with what was learned."""

import csv
import json
import signal
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from cdmtrain import InputError, load_run
from tests.forked import Python
from tests.tasks.test_resume import KILLER, rows_without_times
from tests.tasks.training import cdmtrain, same_weights, weights

MODEL = ["model=sparse_resnet", "model.channels=[4,6]", "model.blocks=[1,1]"]
TRAIN = ["data.image_size=16", "data.batch_size=10", "trainer=cpu", "print_config=false", "trainer.max_epochs=2"]
File = Callable[..., Path]
Patch = pytest.MonkeyPatch


def words(file: Path, run_dir: Path, *more: str) -> list[str]:
    events = ["data=hdf5", f"data.files=[{file}]", f"run_dir={run_dir}"]
    return ["task=pretrain", *MODEL, *TRAIN, *events, "objective.patch=4", *more]


def results(run: Path) -> dict[str, float]:
    return json.loads((run / "results.json").read_text())


def without_labels(file: Path) -> Path:
    with h5py.File(file, "a") as content:
        del content["pdg"]
    return file


def test_a_file_without_labels_leaves_a_run_directory(
    here: Path, challenge_file: File, monkeypatch: Patch, capsys: pytest.CaptureFixture[str]
) -> None:
    file, labelled = without_labels(challenge_file("a.h5")), challenge_file("b.h5", num_events=40, seed=2)
    assert cdmtrain(monkeypatch, *words(file, here / "run", f"probe.files=[{labelled}]")) == 0
    found = results(here / "run")
    assert {"loss", "val_loss", "occupancy_loss", "energy_loss", "probe_accuracy", "epochs"} <= found.keys()
    assert 0 <= found["neighbours_accuracy"] <= 1
    with (here / "run/metrics.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 2
    assert "val_loss" in rows[0]
    assert "val_accuracy" not in rows[0]  # no column without a figure
    assert all(0 <= float(row["probe_accuracy"]) <= 1 for row in rows)
    assert float(rows[1]["train_loss"]) < float(rows[0]["train_loss"])
    status = json.loads((here / "run/status.json").read_text())
    assert status["state"] == "finished"
    assert status["metric"]["name"] == "val_loss"
    assert "linear probe" in capsys.readouterr().out


def test_labels_change_nothing(here: Path, challenge_file: File, monkeypatch: Patch) -> None:
    file = challenge_file("a.h5")
    other = challenge_file("b.h5")
    with h5py.File(other, "a") as content:
        content["pdg"][:] = content["pdg"][:][::-1]
    for name, one in (("a", file), ("b", other), ("c", without_labels(challenge_file("c.h5")))):
        assert cdmtrain(monkeypatch, *words(one, here / name)) == 0
    for name in ("b", "c"):
        assert same_weights(here / "a", here / name)
        assert rows_without_times(here / "a") == rows_without_times(here / name)


@pytest.mark.parametrize("objective", ["masked", "contrastive"])
def test_a_transformer_learns_without_labels_and_begins_a_training(
    here: Path, challenge_file: File, monkeypatch: Patch, objective: str
) -> None:
    events = ["data=hdf5", f"data.files=[{without_labels(challenge_file('a.h5'))}]"]
    small = ["model=transformer", "model.width=8", "model.depth=1", "model.heads=2", *TRAIN]
    assert cdmtrain(monkeypatch, "task=pretrain", *small, *events, "run_dir=before", f"objective={objective}") == 0
    assert results(here / "before")["val_loss"] > 0
    labelled = ["data=hdf5", f"data.files=[{challenge_file('b.h5')}]", "trainer=debug"]
    assert cdmtrain(monkeypatch, *small, *labelled, "run_dir=after", "weights=before", "weights_lr=0.1") == 0
    record = json.loads((here / "after/provenance.json").read_text())["weights"]
    assert {"model.linear.weight", "model.linear.bias"} <= set(record["new"])
    assert "model.layers.0.query_key_value.weight" in record["loaded"]


@pytest.mark.parametrize(
    "setting", ["augmentation=symmetries", pytest.param("objective=contrastive", marks=pytest.mark.slow)]
)
def test_a_pretraining_killed_in_mid_epoch_and_resumed_ends_bit_identical(
    here: Path, challenge_file: File, monkeypatch: Patch, python: Python, setting: str
) -> None:
    file = challenge_file(num_events=100)

    def typed(name: str) -> list[str]:
        found = words(file, here / name, "callbacks.checkpoint.every_seconds=0", "scheduler=onecycle", setting)
        return [word for word in found if "contrastive" not in setting or word != "objective.patch=4"]

    assert cdmtrain(monkeypatch, *typed("undisturbed")) == 0
    script = KILLER.replace("cdmtrain.classifier", "cdmtrain.pretraining.pretraining").replace(
        "Classifier", "Pretraining"
    )
    killed = python(script.format(step=9 + 5), *typed("killed"))  # the fifth of the second epoch's nine steps
    assert killed.returncode == -signal.SIGKILL
    assert cdmtrain(monkeypatch, f"run={here / 'killed'}", "print_config=false") == 0
    for name in ("last", "best"):
        assert same_weights(here / "undisturbed", here / "killed", name)
    assert rows_without_times(here / "undisturbed") == rows_without_times(here / "killed")
    with h5py.File(here / "undisturbed/pretrained.h5") as one, h5py.File(here / "killed/pretrained.h5") as other:
        assert list(one) == list(other)
        assert all(np.array_equal(one[name], other[name]) for name in one)


def test_a_training_begins_with_the_encoder_and_a_new_head(
    here: Path, challenge_file: File, monkeypatch: Patch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = challenge_file()
    assert cdmtrain(monkeypatch, *words(file, here / "before")) == 0
    capsys.readouterr()
    events = ["data=hdf5", f"data.files=[{file}]", f"run_dir={here / 'after'}", "weights=before"]
    assert cdmtrain(monkeypatch, *MODEL, *TRAIN, *events, "freeze=[stem,stages,downs]") == 0
    assert "new: head" in capsys.readouterr().out
    learned, now = weights(here / "before", "best"), weights(here / "after", "best")
    assert all(torch.equal(learned[name], now[name]) for name in learned if not name.startswith("model.head."))
    head = [name for name in learned if name.startswith("model.head.")]
    assert not any(torch.equal(learned[name], now[name]) for name in head if name.endswith("weight"))


def test_a_pretraining_begins_with_the_weights_of_another_one(
    here: Path, challenge_file: File, monkeypatch: Patch
) -> None:
    file = challenge_file()
    assert cdmtrain(monkeypatch, *words(file, here / "before")) == 0
    assert cdmtrain(monkeypatch, *words(file, here / "after", "weights=before", "trainer.max_epochs=1")) == 0
    assert results(here / "after")["val_loss"] < results(here / "before")["val_loss"] + 1


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ("objective=masked", "objective=masked is learned without labels; add task=pretrain"),
        ("task=pretrain ~objective", "task=pretrain needs an objective: masked or contrastive"),
        ("task=pretrain model=dnn", "DNN cannot be trained with this objective: it has no method hit_features"),
        ("task=pretrain model=sparse_resnet probe.files=a.h5", "probe.files=a.h5: a list"),
        ("task=pretrain model=sparse_resnet probe.events=2", "probe.events=2: at least 8 events are expected"),
        ("task=pretrain model=sparse_resnet objective=contrastive augmentation=none", "makes them the same"),
    ],
)
def test_what_cannot_be_learned_is_refused_in_a_sentence(
    here: Path,
    challenge_file: File,
    monkeypatch: Patch,
    capsys: pytest.CaptureFixture[str],
    typed: str,
    sentence: str,
) -> None:
    events = ["data=hdf5", f"data.files=[{challenge_file()}]", *TRAIN]
    assert cdmtrain(monkeypatch, *typed.split(), *events) == 1
    assert sentence in capsys.readouterr().err


def test_a_pretraining_is_not_evaluated_as_a_classifier(
    here: Path, challenge_file: File, monkeypatch: Patch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cdmtrain(monkeypatch, *words(challenge_file(), here / "run", "trainer=debug")) == 0
    assert cdmtrain(monkeypatch, "task=evaluate", "run=run") == 1
    assert "trained without labels and tells no particles apart; begin a training" in capsys.readouterr().err


@pytest.mark.parametrize("objective", ["masked", "contrastive"])
def test_in_python_a_pretraining_gives_features_and_no_probabilities(
    here: Path, challenge_file: File, monkeypatch: Patch, objective: str
) -> None:
    typed = [word for word in words(challenge_file(), here / "run") if not word.startswith("objective.")]
    assert cdmtrain(monkeypatch, *typed, f"objective={objective}", "trainer=debug") == 0
    run = load_run("run")
    images = np.random.default_rng(1).random((30, 16, 16), np.float32)
    features = run.embed(images)
    assert len(features) == 30
    assert features.std(0).max() > 0
    for asked in (run.predict, run.explain):
        with pytest.raises(InputError, match="trained without labels and tells no particles apart"):
            asked(images)


@pytest.mark.page
def test_a_sweep_is_ranked_by_the_validation_loss_and_each_run_has_a_page(
    here: Path, challenge_file: File, monkeypatch: Patch, capsys: pytest.CaptureFixture[str]
) -> None:
    typed = [word for word in words(challenge_file(), here) if not word.startswith("run_dir=")]
    assert cdmtrain(monkeypatch, "-m", *typed, "optimizer.lr=0.0001,0.01", "sweep.dir=sweep") == 0
    board = (here / "sweep/leaderboard.csv").read_text().splitlines()
    assert "lr=0.01" in board[1]
    assert "lr=0.0001" in board[2]
    page = next(here.glob("sweep/*seed1*/report/index.html")).read_text()
    assert "Masked events" in page
    assert "Map of features" in page
    assert "loss" in capsys.readouterr().out
