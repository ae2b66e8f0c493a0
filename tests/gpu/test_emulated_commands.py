"""Commands on the emulated device, and runs that go from it to a machine without one and back."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import jaxtyping
import numpy as np
import pytest

from cdmtrain import load_run

pytestmark = pytest.mark.emulated

Command = Callable[..., int]
SHORT = ["model=cnn", "data.batch_size=50", "trainer.max_epochs=2", "data.train_events=150"]


def only(folder: str) -> Path:
    (path,) = Path(folder).iterdir()
    return path


def results(path: Path | str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((Path(path) / "results.json").read_text())
    return found


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kept") / "run"


@pytest.fixture
def run(cdmtrain: Command, data: list[str], make_device: Callable[[], Any], kept: Path) -> Path:
    """A run of two epochs that was trained on the device; made once."""
    if not kept.exists():
        with make_device():
            assert cdmtrain(*data, *SHORT, f"run_dir={kept}") == 0
    return kept


def test_a_run_of_the_device_is_evaluated_where_there_is_none(cdmtrain: Command, run: Path) -> None:
    assert cdmtrain("task=evaluate", f"run={run}") == 0
    assert results(only("outputs/evaluate"))["cross_entropy"] == pytest.approx(results(run)["cross_entropy"], rel=1e-5)


@pytest.mark.parametrize("words", [[], ["symmetries=true"], ["trainer.precision=bf16-mixed"]])
def test_a_run_is_evaluated_on_the_device(cdmtrain: Command, run: Path, device: Any, words: list[str]) -> None:
    assert cdmtrain("task=evaluate", f"run={run}", *words) == 0
    folder = only("outputs/evaluate")
    assert results(folder)["cross_entropy"] == pytest.approx(results(run)["cross_entropy"], rel=0.05)
    assert json.loads((folder / "provenance.json").read_text())["accelerator"] == "Emulated GPU"


@pytest.mark.page
def test_a_run_of_the_processor_goes_on_and_is_evaluated_on_the_device(
    cdmtrain: Command, data: list[str], make_device: Callable[[], Any]
) -> None:
    assert cdmtrain(*data, *SHORT, "run_dir=run", "trainer.max_epochs=1") == 0
    with make_device():
        assert cdmtrain("task=evaluate", "run=run") == 0
    assert results(only("outputs/evaluate"))["cross_entropy"] == pytest.approx(
        results("run")["cross_entropy"], rel=1e-5
    )


@pytest.mark.parametrize("where", ["there", "here"])
def test_a_run_of_the_device_that_was_interrupted_ends_as_one_that_was_not(
    cdmtrain: Command, data: list[str], run: Path, make_device: Callable[[], Any], where: str, tmp_path: Path
) -> None:
    """Training stops at its second step; the checkpoint after the first is continued, on the device or without it."""
    from cdmtrain.callbacks.resources import Resources

    original, steps = Resources.on_train_batch_end, []

    def stop(self: Resources, *args: Any) -> None:
        original(self, *args)
        steps.append(1)
        if len(steps) == 5:
            raise RuntimeError("stopped")

    with pytest.MonkeyPatch.context() as patch, make_device():
        patch.setattr(Resources, "on_train_batch_end", stop)
        assert cdmtrain(*data, *SHORT, "run_dir=stopped") == 1
    if where == "there":
        with make_device():
            assert cdmtrain("run=stopped") == 0
        assert results("stopped")["cross_entropy"] == results(run)["cross_entropy"]
    else:
        assert cdmtrain("run=stopped") == 0
        assert results("stopped")["cross_entropy"] == pytest.approx(results(run)["cross_entropy"], rel=1e-4)


@pytest.mark.parametrize("name", ["out.h5", "out.csv"])
def test_events_are_predicted_on_the_device(
    cdmtrain: Command, run: Path, make_device: Callable[[], Any], events_file: Path, name: str
) -> None:
    with make_device():
        assert cdmtrain("task=predict", f"run={run}", f"input={events_file}", f"output={name}", "symmetries=true") == 0
    if name == "out.h5":
        with h5py.File(events_file) as file:
            expected = load_run(run).predict(file["image"][:50], symmetries=True).probability
        with h5py.File(name) as file:
            np.testing.assert_allclose(file["probability"][:50], expected, atol=1e-5)


@pytest.mark.parametrize("place", ["cuda", "cpu"])
def test_a_run_is_probed_on_the_device(cdmtrain: Command, run: Path, device: Any, place: str) -> None:
    assert cdmtrain("task=probe", f"run={run}", "events=20", f"device={place}") == 0
    assert (only("outputs/probe") / "probe.json").is_file()


@pytest.mark.parametrize(
    "words", [["format=onnx", "output=out.onnx"], ["format=torch", "output=out.pt2", "takes=hits"]]
)
def test_a_run_is_exported_where_there_is_a_device(
    cdmtrain: Command, run: Path, device: Any, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # tensors have no fixed shape while traced
    assert cdmtrain("task=export", f"run={run}", *words) == 0
    assert Path(words[1].partition("=")[2]).is_file()


@pytest.mark.parametrize("model", ["cnn", "gnn"])
def test_a_model_is_benchmarked_on_the_device(cdmtrain: Command, data: list[str], device: Any, model: str) -> None:
    few = ["passes=1", "blocks=1", "block_batches=2", "data.train_events=100", "data.batch_size=25"]
    assert cdmtrain("task=benchmark", *data, f"model={model}", "trainer=gpu", *few) == 0
    found = json.loads((only("outputs/benchmark") / "benchmark.json").read_text())
    assert found["device"] == "Emulated GPU"
    assert found["peak_memory_bytes"] > 0


def test_runs_are_averaged_on_the_device(cdmtrain: Command, run: Path, device: Any) -> None:
    shutil.copytree(run, "other")
    assert cdmtrain("task=evaluate", f"run=[{run},other]") == 0


@pytest.mark.page
def test_a_sweep_leaves_a_leaderboard(cdmtrain: Command, data: list[str], device: Any) -> None:
    assert cdmtrain("-m", *data, "model=perceptron,gnn", "trainer=debug", "sweep.dir=sweep") == 0
    assert Path("sweep/leaderboard.html").is_file()
