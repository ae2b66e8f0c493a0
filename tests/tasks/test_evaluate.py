"""What a run says of events again is what it said in its own test."""

import json
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import h5py
import numpy as np
import pytest
import yaml
from lightning.pytorch.accelerators import CUDAAccelerator, MPSAccelerator

from cdmtrain import cli, load_run

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def evaluate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path | None]:
    """Types the words after task=evaluate; the directory that is left, None where the command failed."""
    monkeypatch.chdir(tmp_path)

    def typed(*words: str) -> Path | None:
        before = set(tmp_path.glob("outputs/evaluate/*"))
        monkeypatch.setattr(sys, "argv", ["cdmtrain", "task=evaluate", *words])
        status = cli.main()
        left = set(tmp_path.glob("outputs/evaluate/*")) - before
        assert len(left) == (status == 0)
        return left.pop() if left else None

    return typed


Evaluate = Callable[..., Path | None]


def results(folder: Path | None) -> dict[str, Any]:
    assert folder is not None
    return json.loads((folder / "results.json").read_text())


def predictions(folder: Path | None) -> dict[str, np.ndarray]:
    assert folder is not None
    with h5py.File(folder / "predictions.h5") as file:
        return {name: file[name][:] for name in file}


@pytest.mark.page
def test_figures_and_predictions_are_those_of_the_training_to_the_bit(
    trained: SimpleNamespace, evaluate: Evaluate, capsys: Capture
) -> None:
    folder = evaluate(f"run={trained.path}")
    assert folder is not None
    assert results(folder) == results(trained.path)
    again, first = predictions(folder), predictions(trained.path)
    assert again.keys() == first.keys()
    assert all(np.array_equal(again[name], first[name]) for name in first)
    names = {path.name for path in trained.path.joinpath("report").iterdir()}
    assert {path.name for path in folder.joinpath("report").iterdir()} == names
    assert f"page: outputs/evaluate/{folder.name}/report/index.html" in capsys.readouterr().out
    made = json.loads((folder / "provenance.json").read_text())
    assert made["tested"] == [{"run": str(trained.path), "checkpoint": str(trained.path / "checkpoints/best.ckpt")}]
    assert made["choices"]["model"] == "cnn"


@pytest.mark.parametrize("trained_on", ["gpu", "mps"])
def test_a_run_trained_on_a_gpu_is_evaluated_on_a_machine_that_has_none(
    trained: SimpleNamespace, tmp_path: Path, evaluate: Evaluate, monkeypatch: pytest.MonkeyPatch, trained_on: str
) -> None:
    for accelerator in (CUDAAccelerator, MPSAccelerator):
        monkeypatch.setattr(accelerator, "is_available", lambda: False)
    copy = shutil.copytree(trained.path, tmp_path / "copy")
    settings = (copy / "config.yaml").read_text()
    assert "  accelerator: cpu\n" in settings
    (copy / "config.yaml").write_text(settings.replace("accelerator: cpu\n", f"accelerator: {trained_on}\n"))
    assert results(evaluate(f"run={copy}"))["accuracy"] == results(trained.path)["accuracy"]


def test_the_most_confident_mistakes_are_kept_as_the_network_saw_them(trained: SimpleNamespace) -> None:
    said = predictions(trained.path)
    right = said["probability"].argmax(1) == said["class_index"]
    with h5py.File(trained.path / "mistakes.h5") as file:
        kept = {name: file[name][:] for name in file}
        assert file.attrs["image_size"] == 16
    assert len(kept["index"]) == sum(min(3, (~right & (said["class_index"] == k)).sum()) for k in range(4))
    for event, index in enumerate(kept["index"]):
        hits = slice(kept["offset"][event], kept["offset"][event + 1])
        image = np.zeros(256, np.float32)
        image[kept["pixel"][hits]] = kept["energy_mev"][hits]
        np.testing.assert_array_equal(image.reshape(16, 16), trained.images[index - 1000])
        assert not right[said["index"] == index].any()
        found = load_run(trained.path).explain(image.reshape(1, 16, 16))[0].ravel()[kept["pixel"][hits]]
        np.testing.assert_allclose(kept["contribution"][hits], found, rtol=1e-3, atol=1e-5)


def test_the_record_of_a_run_says_what_differs_from_the_defaults(trained: SimpleNamespace) -> None:
    changed = json.loads((trained.path / "provenance.json").read_text())["changed"]
    expected = {"data": ["simulated", "hdf5"], "trainer": ["default", "cpu"], "data.image_size": [192, 16]}
    expected |= {"data.batch_size": [100, 5], "trainer.max_epochs": [10, 2], "model.channels": [[2, 4, 8], [2]]}
    assert changed.items() >= expected.items()
    assert set(changed) - set(expected) == {"data.files", "data.cache_dir"}


def test_every_event_of_other_files_is_tested(trained: SimpleNamespace, evaluate: Evaluate) -> None:
    folder = evaluate(f"run={trained.path}", "ckpt=last", "data=hdf5", f"data.files=[{trained.file}]")
    assert np.sum(results(folder)["confusion_matrix"]) == 100
    np.testing.assert_array_equal(predictions(folder)["index"], 1000 + np.arange(100))
    assert "val_accuracy" not in results(folder)


def test_a_part_of_other_files_may_be_asked_for(trained: SimpleNamespace, evaluate: Evaluate) -> None:
    words = ["data=hdf5", f"data.files=[{trained.file}]", "data.split.test=[.5,.6]", "data.split.train=[0,.1]"]
    folder = evaluate(f"run={trained.path}", *words, "data.split.val=[.1,.2]")
    np.testing.assert_array_equal(predictions(folder)["index"], 1000 + np.arange(50, 60))


def test_symmetries_and_several_runs_are_means_of_probabilities(trained: SimpleNamespace, evaluate: Evaluate) -> None:
    other = Path("other")
    shutil.copytree(trained.path, other)
    shutil.copyfile(other / "checkpoints/last.ckpt", other / "checkpoints/best.ckpt")
    one, two = (predictions(evaluate(f"run={run}"))["probability"] for run in (trained.path, other))
    together = evaluate(f"run=[{trained.path},{other}]")
    np.testing.assert_allclose(predictions(together)["probability"], (one + two) / 2, atol=1e-6)
    turned = evaluate(f"run={trained.path}", "symmetries=true")
    assert np.abs(predictions(turned)["probability"] - one).max() > 1e-3
    assert results(turned)["parameters"] == results(trained.path)["parameters"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["ckpt=worst"], "ckpt=worst: worst is not a file"),
        (["optimizer.lr=1", "model=dnn"], "that run's own configuration is used; leave out optimizer.lr and model"),
        (["data=hdf5", "data.files=[nowhere.h5]"], "nowhere.h5 does not exist"),
        (["data=hdf5", "data.files=[unlabelled.h5]"], "events without 'pdg'"),
        (["data=hdf5", "data.files=[small.h5]"], "the images are 8 x 8, data.image_size is 16"),
        (["data=hdf5", "data.files=[small.h5]", "data.image_size=8"], "images of 8 x 8 pixels; .* was trained on 16"),
    ],
)
def test_what_cannot_be_evaluated_is_one_sentence_and_leaves_nothing(
    trained: SimpleNamespace, evaluate: Evaluate, capsys: Capture, words: list[str], sentence: str
) -> None:
    for name, size, keys in (("unlabelled.h5", 16, ["image"]), ("small.h5", 8, ["image", "pdg"])):
        with h5py.File(name, "w") as file:
            content = {"image": np.ones((4, size, size), np.float32), "pdg": np.full(4, 11)}
            file.update({key: content[key] for key in keys})
    assert evaluate(f"run={trained.path}", *words) is None
    error = capsys.readouterr().err
    assert re.search(sentence, error)
    assert "Traceback" not in error


def test_a_run_whose_events_are_others_now_is_refused(
    trained: SimpleNamespace, evaluate: Evaluate, capsys: Capture
) -> None:
    shutil.copytree(trained.path, "moved")
    config = yaml.safe_load(Path("moved/config.yaml").read_text())
    config["data"]["split"] |= {"test": [0.9, 1.0], "val": [0.8, 0.9], "train": [0, 0.8]}
    Path("moved/config.yaml").write_text(yaml.safe_dump(config))
    assert evaluate("run=moved") is None
    assert "moved was tested on 100 events (84, 8, 8) of" in capsys.readouterr().err
    assert evaluate(f"run=[{trained.path},moved]") is None


def test_run_dir_says_where_the_results_are_written(
    trained: SimpleNamespace, evaluate: Evaluate, capsys: Capture
) -> None:
    words = [f"run={trained.path}", "run_dir=here"]
    with pytest.raises(AssertionError):  # nothing under outputs/
        evaluate(*words)
    assert "accuracy" in results(Path("here"))
    assert evaluate(*words) is None
    assert "run_dir=here exists; choose another directory or remove it" in capsys.readouterr().err
