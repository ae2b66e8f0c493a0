"""Predictions of a file: as the run's own, streamed, whole or absent."""

import csv
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
import torch

from cdmtrain import cli, load_run
from cdmtrain.batch import EventBatch
from cdmtrain.classifier import Classifier
from cdmtrain.particles import NAMES

Capture = pytest.CaptureFixture[str]
Predict = Callable[..., int]


@pytest.fixture
def predict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Predict:
    """Types the words after task=predict; the exit status."""
    monkeypatch.chdir(tmp_path)

    def typed(*words: str) -> int:
        monkeypatch.setattr(sys, "argv", ["cdmtrain", "task=predict", *words])
        return cli.main()

    return typed


def content(path: str | Path) -> dict[str, np.ndarray]:
    with h5py.File(path) as file:
        return {name: file[name][:] for name in file}


def write(name: str, images: np.ndarray, **more: object) -> Path:
    with h5py.File(name, "w") as file:
        file.create_dataset("image", data=images, **more)
    return Path(name)


def test_a_labelled_file_is_predicted_as_in_the_test_of_the_run(
    trained: SimpleNamespace, predict: Predict, capsys: Capture
) -> None:
    assert predict(f"run={trained.path}", f"input={trained.file}") == 0
    ours, run = content("predictions.h5"), content(trained.path / "predictions.h5")
    assert ours.keys() == run.keys() | {"entropy"}
    for name in run:
        np.testing.assert_allclose(ours[name][92:], run[name], rtol=1e-6)  # other events share the batch
        assert ours[name].dtype == run[name].dtype
    assert capsys.readouterr().out.startswith("100 events in predictions.h5: ")
    with h5py.File("predictions.h5") as file:
        assert list(file.attrs["checkpoints"]) == [str(trained.path / "checkpoints/best.ckpt")]


def test_a_file_without_labels_becomes_a_table(trained: SimpleNamespace, predict: Predict) -> None:
    file = write("new.h5", trained.images[:13])
    assert predict(f"run={trained.path}", f"input={file}", "output=new.csv") == 0
    with open("new.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    expected = load_run(trained.path).predict(trained.images[:13])
    assert list(rows[0]) == ["index", "particle", *NAMES, "lit_pixels", "deposited_energy_mev", "entropy"]
    assert [row["index"] for row in rows] == [str(n) for n in range(13)]
    assert [row["particle"] for row in rows] == list(expected.name)
    probability = np.array([[float(row[name]) for name in NAMES] for row in rows])
    np.testing.assert_allclose(probability, expected.probability, rtol=1e-6)


def test_a_table_of_labelled_events_has_the_truth(trained: SimpleNamespace, predict: Predict) -> None:
    assert predict(f"run={trained.path}", f"input={trained.file}", "output=t.csv") == 0
    with open("t.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    codes = dict(zip((11, 13, 22, 2212), NAMES, strict=True))
    assert [row["truth"] for row in rows] == [codes[code] for code in trained.pdg]
    assert {"kinetic_energy_mev", "vertex_px_0", "vertex_px_1"} <= set(rows[0])


@pytest.mark.parametrize("layout", [{}, {"chunks": (64, 16, 16)}, {"chunks": (7, 16, 16), "compression": "gzip"}])
def test_no_more_than_a_batch_of_events_is_held_however_the_file_is_laid_out(
    trained: SimpleNamespace, predict: Predict, monkeypatch: pytest.MonkeyPatch, layout: dict[str, object]
) -> None:
    sizes: list[int] = []
    forward = Classifier.forward

    def counting(self: Classifier, batch: EventBatch) -> torch.Tensor:
        sizes.append(batch.num_events)
        return forward(self, batch)

    monkeypatch.setattr(Classifier, "forward", counting)
    file = write("many.h5", np.concatenate([trained.images] * 3), **layout)
    assert predict(f"run={trained.path}", f"input={file}", "output=many.h5") == 1  # never over what is there
    assert predict(f"run={trained.path}", f"input={file}", "output=said.h5") == 0
    assert sizes == [1, *[5] * 60]  # load_run tries one event
    probability = content("said.h5")["probability"]
    np.testing.assert_array_equal(probability[:100], probability[200:])


def test_several_runs_and_the_symmetries_are_the_mean_of_their_probabilities(
    trained: SimpleNamespace, predict: Predict
) -> None:
    Path("other/checkpoints").mkdir(parents=True)
    Path("other/config.yaml").write_bytes((trained.path / "config.yaml").read_bytes())
    Path("other/checkpoints/best.ckpt").write_bytes((trained.path / "checkpoints/last.ckpt").read_bytes())
    file = write("new.h5", trained.images[:20])
    runs = [load_run(trained.path), load_run("other")]
    assert predict(f"run=[{trained.path},other]", f"input={file}", "output=both.h5", "symmetries=true") == 0
    mean = np.mean([run.predict(trained.images[:20], symmetries=True).probability for run in runs], axis=0)
    np.testing.assert_allclose(content("both.h5")["probability"], mean, atol=1e-6)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["input=nowhere.h5"], "input=nowhere.h5 is not a file"),
        (["input=new.h5", "output=new.txt"], "output=new.txt: a name that ends in .h5, .hdf5, .csv is expected"),
        (["input=new.h5", "output=new.h5"], "output=new.h5 exists; choose another name or remove it"),
        (["input=small.h5"], "images of 8 x 8 pixels"),
        (["input=new.h5", "model=dnn"], "that run's own configuration is used; leave out model"),
        (["input=nan.h5"], "'image' entry 99 in nan.h5 has nan at row 0, column 0"),
        (["input=nan.h5", "output=nan.csv"], "'image' entry 99 in nan.h5 has nan at row 0, column 0"),
    ],
)
def test_what_cannot_be_predicted_is_one_sentence_and_leaves_nothing(
    trained: SimpleNamespace, predict: Predict, capsys: Capture, words: list[str], sentence: str
) -> None:
    write("new.h5", trained.images[:3])
    write("small.h5", np.ones((3, 8, 8), np.float32))
    wrong = trained.images.copy()
    wrong[99, 0, 0] = np.nan
    write("nan.h5", wrong, chunks=(10, 16, 16))
    before = sorted(path.name for path in Path().iterdir())
    assert predict(f"run={trained.path}", *words) == 1
    error = capsys.readouterr().err
    assert sentence in error
    assert "Traceback" not in error
    assert sorted(path.name for path in Path().iterdir()) == before
