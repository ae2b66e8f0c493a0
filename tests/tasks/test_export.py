"""An exported file says of events what the run says, without this program."""

import json
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jaxtyping
import numpy as np
import onnxruntime
import pytest
import torch
import yaml
from hydra import compose, initialize_config_module
from omegaconf import OmegaConf

from cdmtrain import cli, load_run
from cdmtrain.config.sources import groups
from cdmtrain.export.check import Exported
from cdmtrain.runs.open import make_classifier, read_config
from cdmtrain.tasks import export as task

MODELS = [option.name for option in groups()["model"] if option.name != "module"]  # which wraps any network
TRACED = ("alexnet", "best", "cnn", "densenet", "dnn", "perceptron", "resnet", "sparse_resnet")  # by torch
Capture = pytest.CaptureFixture[str]
Export = Callable[..., int]


@pytest.fixture
def export(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Export]:
    """Types the words after task=export; the exit status."""
    monkeypatch.chdir(tmp_path)
    jaxtyping.config.update("jaxtyping_disable", True)  # shapes are checked in tests only, and cannot be while tracing

    def typed(*words: str) -> int:
        monkeypatch.setattr(sys, "argv", ["cdmtrain", "task=export", *words])
        return cli.main()

    yield typed
    jaxtyping.config.update("jaxtyping_disable", False)


def hits(images: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pixel, energy and offset of dense images."""
    flat = images.reshape(len(images), -1)
    return flat.nonzero()[1], flat[flat != 0], np.append(0, (flat != 0).sum(1).cumsum())


def feed(images: np.ndarray, takes: str) -> dict[str, np.ndarray]:
    """What an ONNX file takes."""
    pixel, energy, _ = hits(images)
    event = images.reshape(len(images), -1).nonzero()[0]
    return {"image": images} if takes == "image" else {"event": event, "pixel": pixel, "energy": energy}


@pytest.mark.parametrize("takes", ["image", "hits"])
def test_onnxruntime_gives_the_probabilities_of_the_run(
    trained: SimpleNamespace, export: Export, capsys: Capture, takes: str
) -> None:
    assert export(f"run={trained.path}", f"takes={takes}", "output=net.onnx") == 0
    shown = capsys.readouterr()
    assert "the same as the run to " in shown.out
    assert "on 8 events" in shown.out
    assert shown.err == ""
    session = onnxruntime.InferenceSession("net.onnx", providers=["CPUExecutionProvider"])
    for number in (1, 7, 100):
        images = trained.images[:number]
        (said,) = session.run(["probabilities"], feed(images, takes))
        np.testing.assert_allclose(said, load_run(trained.path).predict(images).probability, atol=1e-6)
    told = session.get_modelmeta().custom_metadata_map
    assert json.loads(told["classes"]) == ["electron", "muon", "photon", "proton"]
    assert json.loads(told["image_size"]) == 16
    assert json.loads(told["unit"]) == "MeV"
    assert json.loads(told["threshold_mev"]) == 0
    assert json.loads(told["figures"])[0]["accuracy"] == load_run(trained.path).results["accuracy"]
    assert len(json.loads(told["weights_sha256"])[0]) == 64


def test_a_calibrated_file_gives_the_calibrated_probabilities(
    trained: SimpleNamespace, calibrated: Path, export: Export
) -> None:
    words = [f"run={calibrated}", "calibrated=true", f"data.cache_dir={trained.path.parent}"]
    assert export(*words, "output=net.onnx") == 0
    session = onnxruntime.InferenceSession("net.onnx", providers=["CPUExecutionProvider"])
    (said,) = session.run(["probabilities"], {"image": trained.images})
    run, plain = load_run(calibrated, calibrated=True), load_run(calibrated)
    np.testing.assert_allclose(said, run.predict(trained.images).probability, atol=1e-6)
    assert np.abs(said - plain.predict(trained.images).probability).max() > 0.01
    assert json.loads(session.get_modelmeta().custom_metadata_map["calibrated"]) is True


@pytest.mark.parametrize("takes", ["image", "hits"])
def test_torch_alone_gives_the_probabilities_of_the_run(trained: SimpleNamespace, export: Export, takes: str) -> None:
    assert export(f"run={trained.path}", "format=torch", f"takes={takes}") == 0
    network = torch.export.load("network.pt2").module()
    for number in (1, 7):
        images = trained.images[:number]
        arrays = (images,) if takes == "image" else hits(images)
        said = network(*map(torch.from_numpy, arrays))
        expected = load_run(trained.path).predict(images).probability
        np.testing.assert_allclose(said.detach().numpy(), expected, atol=1e-6)


def test_a_file_that_says_something_else_is_not_written_and_not_compared_any_further(
    trained: SimpleNamespace, export: Export, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    compared = []

    def other(runs: object, cfg: object, wrapper: object, two: object, path: Path) -> Exported:
        path.touch()
        return lambda batch: compared.append(batch) or np.full((batch.num_events, 4), 0.25, np.float32)

    monkeypatch.setattr(task, "write_torch", other)
    assert export(f"run={trained.path}", "format=torch") == 1
    assert len(compared) == 1
    assert "the exported network differs from the run by" in capsys.readouterr().err
    assert not Path("network.pt2").exists()


def test_half_precision_makes_a_smaller_file_and_tells_the_accuracy(
    trained: SimpleNamespace, export: Export, capsys: Capture
) -> None:
    for precision in (32, 16):
        assert export(f"run={trained.path}", f"precision={precision}", f"output={precision}.onnx") == 0
    assert re.search(r"accuracy 0\.\d{4} instead of 0\.\d{4}", capsys.readouterr().out)
    assert Path("16.onnx").stat().st_size < Path("32.onnx").stat().st_size


def test_an_ensemble_with_symmetries_is_one_file(trained: SimpleNamespace, export: Export, tmp_path: Path) -> None:
    shutil.copytree(trained.path, tmp_path / "other")
    assert export(f"run=[{trained.path},{tmp_path / 'other'}]", "symmetries=true", "takes=hits") == 0
    session = onnxruntime.InferenceSession("network.onnx", providers=["CPUExecutionProvider"])
    (said,) = session.run(["probabilities"], feed(trained.images[:9], "hits"))
    expected = load_run(trained.path).predict(trained.images[:9], symmetries=True).probability
    np.testing.assert_allclose(said, expected, atol=1e-6)


def untrained_run(trained: SimpleNamespace, model: dict[str, Any], representation: dict[str, Any]) -> None:
    """The directory `run`: that of the trained run with another network, as it is drawn."""
    config = yaml.safe_load((trained.path / "config.yaml").read_text())
    config |= {"model": model, "representation": representation}
    Path("run/checkpoints").mkdir(parents=True)
    Path("run/config.yaml").write_text(yaml.safe_dump(config))
    classifier = make_classifier(read_config(Path("run")))
    torch.save({"state_dict": classifier.state_dict()}, "run/checkpoints/best.ckpt")


def test_sparse_convolutions_are_exported_for_any_number_of_hits_and_events(
    trained: SimpleNamespace, export: Export
) -> None:
    net = {"image_size": 16, "channels": [2, 3], "blocks": [1, 1], "dropout": 0.0, "num_features": 1}
    feature = {"energy": {"_target_": "cdmtrain.representation.features.Energy"}}
    representation = {"_target_": "cdmtrain.representation.hits.HitsRepresentation", "features": feature}
    untrained_run(trained, {"_target_": "cdmtrain.model.sparse_resnet.SparseResNet", **net}, representation)
    assert export("run=run", "format=torch", "takes=hits") == 0
    network = torch.export.load("network.pt2").module()
    for number in (1, 7):
        images = trained.images[:number]
        said = network(*map(torch.from_numpy, hits(images)))
        expected = load_run(Path("run")).predict(images).probability
        np.testing.assert_allclose(said.detach().numpy(), expected, atol=1e-6)


def test_an_architecture_that_torch_cannot_trace_is_one_sentence(
    trained: SimpleNamespace, export: Export, capsys: Capture
) -> None:
    representation = {"_target_": "cdmtrain.representation.graph.GraphRepresentation", "threshold_mev": 0.1}
    untrained_run(trained, {"_target_": "cdmtrain.model.gnn.GNN", "width": 4, "depth": 1}, representation)
    assert export("run=run", "format=torch", "output=net.pt2", "takes=hits") == 1
    error = capsys.readouterr().err
    assert error.startswith("error: GNN cannot be exported: what it computes depends on the content of an event")
    assert error.count("\n") == 1
    assert not Path("net.pt2").exists()


@pytest.mark.slow
@pytest.mark.parametrize("words", ["format=onnx takes=image", "format=onnx takes=hits", "format=torch takes=hits"])
@pytest.mark.parametrize("name", ["best", *MODELS])
def test_every_architecture_is_exported_or_is_one_sentence(
    challenge_file: Callable[..., Path], export: Export, capsys: Capture, name: str, words: str
) -> None:
    data = ["data=hdf5", f"data.files=[{challenge_file(num_events=300, image_size=67)}]", "data.image_size=67"]
    with initialize_config_module("cdmtrain.conf", version_base="1.3"):
        chosen = "experiment=best" if name == "best" else f"model={name}"
        config = compose("config", overrides=[chosen, "trainer=cpu", *data])
    OmegaConf.resolve(config)
    Path("run/checkpoints").mkdir(parents=True)
    OmegaConf.save(config, "run/config.yaml")
    torch.save({"state_dict": make_classifier(config).state_dict()}, "run/checkpoints/best.ckpt")
    start = time.process_time()
    status = export("run=run", "output=network." + ("onnx" if "onnx" in words else "pt2"), *words.split())
    said = capsys.readouterr()
    if "onnx" in words or name in TRACED:
        assert (status, said.err) == (0, "")
        assert "the same as the run to" in said.out
        assert time.process_time() - start < 60
    else:
        assert status == 1
        assert "cannot be exported: what it computes depends on the content of an event" in said.err
        assert said.err.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["format=tflite"], "format=tflite: one of onnx, torch is expected"),
        (["takes=graph"], "takes=graph: one of image, hits is expected"),
        (["precision=64"], "precision=64: one of 32, 16 is expected"),
        (["precision=16", "format=torch"], "precision=16 needs format=onnx"),
        (["output=there.onnx"], "output=there.onnx exists"),
        (["model=dnn"], "leave out model"),
    ],
)
def test_what_cannot_be_exported_is_one_sentence(
    trained: SimpleNamespace, export: Export, capsys: Capture, words: list[str], sentence: str
) -> None:
    Path("there.onnx").touch()
    assert export(f"run={trained.path}", *words) == 1
    assert sentence in capsys.readouterr().err
