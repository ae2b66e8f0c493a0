"""What only a CUDA device can show: pytest -m gpu. CDMTRAIN_GPU_TESTS=emulated tries these tests without one."""

import gc
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import jaxtyping
import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_module

from cdmtrain import load_run
from cdmtrain.batch import EventBatch
from cdmtrain.runs.open import make_classifier
from tests.gpu.test_emulated_models import NARROWER, every_model

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.filterwarnings("ignore:The usage of `scatter:UserWarning"),  # torch_geometric, on a GPU
]

EMULATED = os.environ.get("CDMTRAIN_GPU_TESTS") == "emulated"
COMMAND = ["-P", "-c", "import sys; from cdmtrain.cli import main; sys.exit(main())"]
SCRIPT = [str(Path(__file__).with_name("emulated.py"))] if EMULATED else COMMAND
SHORT = ["trainer.max_epochs=2", "data.batch_size=20"]

Command = Callable[..., int]


@pytest.fixture(autouse=True)
def card(request: pytest.FixtureRequest) -> Iterator[None]:
    """A CUDA device, or a sentence that says that there is none."""
    if EMULATED:
        with request.getfixturevalue("make_device")():
            yield
    elif not torch.cuda.is_available():
        pytest.skip("torch finds no CUDA device; CDMTRAIN_GPU_TESTS=emulated tries these tests without one")
    else:
        yield


def results(run: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((Path(run) / "results.json").read_text())
    return found


@every_model
@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 0.01), ("bfloat16", 0.04)])  # TF32 keeps 10 bits
def test_logits_are_those_of_the_processor(
    make_batch: Callable[..., EventBatch], data: list[str], model: str, precision: str, tolerance: float
) -> None:
    with initialize_config_module("cdmtrain.conf", version_base="1.3"):
        cfg = compose("config", [*data, f"model={model}", *NARROWER.get(model, [])])
    torch.manual_seed(1)
    network, batch = make_classifier(cfg).eval(), make_batch(8, image_size=67, empty=[1])
    with torch.no_grad():
        here = network(batch)
        with torch.autocast("cuda", torch.bfloat16, enabled=precision == "bfloat16"):
            there = network.to("cuda")(batch.to("cuda")).cpu()
    torch.testing.assert_close(there, here, rtol=0, atol=tolerance * here.abs().max().item())


@every_model
def test_a_training_in_mixed_precision_learns(cdmtrain: Command, data: list[str], model: str) -> None:
    words = [*data, f"model={model}", *NARROWER.get(model, []), "trainer=gpu", *SHORT, "run_dir=run"]
    assert cdmtrain(*words) == 0
    assert np.isfinite(results("run")["cross_entropy"])


def test_a_run_that_was_killed_ends_as_one_that_was_not(data: list[str], tmp_path: Path) -> None:
    words = [*data, "model=cnn", "trainer.accelerator=gpu", "trainer.max_epochs=3", "data.batch_size=20"]
    every = ["callbacks.checkpoint.every_seconds=0", "run_dir=killed"]
    process = subprocess.Popen([sys.executable, *SCRIPT, *words, *every], cwd=tmp_path, stdout=subprocess.DEVNULL)
    run, deadline = tmp_path / "killed", time.monotonic() + 120
    while process.poll() is None and not (run / "metrics.csv").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.kill()
    process.wait()
    assert not (run / "results.json").exists()
    assert (run / "checkpoints/last.ckpt").exists()
    for command in (["run=killed"], [*words, "run_dir=whole"]):
        subprocess.run([sys.executable, *SCRIPT, *command], cwd=tmp_path, check=True)
    killed, whole = (results(str(tmp_path / name))["cross_entropy"] for name in ("killed", "whole"))
    assert killed == whole


def test_a_run_that_was_trained_there_opens_here(cdmtrain: Command, data: list[str], events_file: Path) -> None:
    assert cdmtrain(*data, "model=cnn", "trainer.accelerator=gpu", *SHORT, "run_dir=run") == 0
    with h5py.File(events_file) as images, h5py.File("run/predictions.h5") as predictions:
        found = load_run("run", device="cpu").predict(images["image"][-50:]).probability
        np.testing.assert_allclose(found, predictions["probability"], atol=2e-3)  # TF32 in the convolutions


def test_a_run_that_was_trained_here_is_evaluated_and_goes_on_there(cdmtrain: Command, data: list[str]) -> None:
    assert cdmtrain(*data, "model=cnn", "trainer=cpu", *SHORT, "run_dir=run") == 0
    assert cdmtrain("task=evaluate", "run=run", "trainer.accelerator=gpu") == 0
    (folder,) = Path("outputs/evaluate").iterdir()
    assert results(str(folder))["cross_entropy"] == pytest.approx(results("run")["cross_entropy"], rel=2e-3)
    assert cdmtrain("task=probe", "run=run", "events=20", "device=cuda") == 0


@pytest.mark.skipif(EMULATED, reason="the emulated device has no NCCL")
def test_ddp_on_one_device_is_a_training_without_it(cdmtrain: Command, data: list[str]) -> None:
    words = [*data, "model=cnn", "trainer.accelerator=gpu", *SHORT]
    assert cdmtrain(*words, "trainer.strategy=ddp", "trainer.devices=1", "run_dir=ddp") == 0
    assert cdmtrain(*words, "run_dir=alone") == 0
    assert results("ddp")["cross_entropy"] == pytest.approx(results("alone")["cross_entropy"], rel=1e-4)


def test_a_training_leaves_no_memory_behind(cdmtrain: Command, data: list[str]) -> None:
    left = []
    for number in range(3):
        assert cdmtrain(*data, "model=cnn", "trainer=gpu", *SHORT, f"run_dir={number}") == 0
        gc.collect()
        left.append(torch.cuda.memory_allocated())
    parameters = results("2")["parameters"]
    assert 4 * parameters < results("2")["peak_memory_bytes"] < torch.cuda.mem_get_info()[1]
    assert left[2] <= left[1] + 4 * parameters


@pytest.mark.skipif(EMULATED, reason="the emulated device has no compiler")
@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")  # torch's compiler, when imported
@pytest.mark.parametrize("model", ["cnn", "transformer", "sparse_resnet"])
def test_a_compiled_training_has_the_loss_of_one_that_is_not(
    cdmtrain: Command, data: list[str], model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # the compiler traces without shapes
    words = [*data, f"model={model}", *NARROWER.get(model, []), "trainer.accelerator=gpu", *SHORT]
    for run, compile in (("eager", "false"), ("compiled", "true")):
        assert cdmtrain(*words, f"trainer.compile={compile}", f"run_dir={run}") == 0
    assert results("compiled")["cross_entropy"] == pytest.approx(results("eager")["cross_entropy"], rel=0.02)
