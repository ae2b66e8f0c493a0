"""Two processes train as one does, alone and in a sweep, and leave nothing behind; options of the trainer work."""

import csv
import functools
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import jaxtyping
import numpy as np
import pytest
import torch

from cdmtrain import cli

SMALL = ["model=dnn", "model.width=8", "data.image_size=16", "data.batch_size=15", "trainer=cpu", "print_config=false"]
LEFT_BEHIND = ("LOCAL_RANK", "NODE_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "CDMTRAIN_RUN_DIR")


@pytest.fixture
def train(tmp_path: Path, challenge_file: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Runs the command line on 203 events in this process; returns the exit status."""
    monkeypatch.chdir(tmp_path)
    file = challenge_file(num_events=203)

    def run(*words: str) -> int:
        monkeypatch.setattr(sys, "argv", ["cdmtrain", "data=hdf5", f"data.files=[{file}]", *SMALL, *words])
        return cli.main()

    return run


Train = Callable[..., int]


def results_of(run: Path) -> dict[str, float]:
    """The figures that do not measure a cost; those of a class are `roc_auc_muon`."""
    cost = ("events_per_second", "train_seconds", "peak_memory_bytes")
    content = json.loads((run / "results.json").read_text())
    matrices = {f"{name}_{i}": row for name in content if "matrix" in name for i, row in enumerate(content[name])}
    return scalars({name: value for name, value in content.items() if name not in cost} | matrices)


def train_losses(run: Path) -> list[float]:
    with (run / "metrics.csv").open() as stream:
        return [float(row["train_loss"]) for row in csv.DictReader(stream)]


def scalars(figures: dict[str, Any]) -> dict[str, float]:
    flat = {}
    for name, value in figures.items():
        inner = dict(enumerate(value)) if isinstance(value, list) else value if isinstance(value, dict) else {"": value}
        flat |= {f"{name}_{key}": number for key, number in inner.items() if isinstance(number, int | float)}
    return flat


def test_a_sweep_on_two_processes_gives_what_one_process_does_and_leaves_nothing_behind(
    train: Train, tmp_path: Path
) -> None:
    """203 events in batches of 15: shares of 8 and 7, and a last batch of 6; every mean is over events."""
    assert train("run_dir=one", "trainer.max_epochs=2") == 0
    threads = torch.get_num_threads()
    assert (
        train("-m", "seed=1,2", "trainer=ddp", "trainer.accelerator=cpu", "trainer.max_epochs=2", "sweep.dir=two") == 0
    )
    runs = sorted((tmp_path / "two").glob("dnn_seed*"))
    assert [run.name.split("_")[1] for run in runs] == ["seed1", "seed2"]
    alone, together = results_of(tmp_path / "one"), results_of(runs[0])
    assert alone.keys() == together.keys()
    for name, value in alone.items():
        assert together[name] == pytest.approx(value, rel=1e-5, abs=1e-6), name
    assert train_losses(runs[0]) == pytest.approx(train_losses(tmp_path / "one"), rel=1e-5)
    with h5py.File(tmp_path / "one/predictions.h5") as one, h5py.File(runs[0] / "predictions.h5") as two:
        np.testing.assert_array_equal(one["index"], two["index"])
        np.testing.assert_allclose(one["probability"], two["probability"], rtol=1e-4, atol=1e-6)
    for run in runs:
        assert json.loads((run / "status.json").read_text())["state"] == "finished"
    assert not torch.distributed.is_initialized()
    assert [name for name in LEFT_BEHIND if name in os.environ] == []
    assert torch.get_num_threads() == threads
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == ["one", "outputs", "two"]
    assert list((tmp_path / "outputs").iterdir()) == [tmp_path / "outputs/cache"]


@pytest.mark.slow  # freezing and longer trainings are tested in one process, and two processes above
def test_two_processes_freeze_and_train_longer_as_one_does(
    train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert train("run_dir=source", "trainer.max_epochs=1") == 0
    for name, *devices in (["one"], ["two", "trainer=ddp", "trainer.accelerator=cpu"]):
        tuned = ["weights=source", "weights_lr=0.5", "freeze=[layers.0]", "trainer.max_epochs=1"]
        assert train(f"run_dir={name}", *devices, *tuned) == 0
        monkeypatch.setattr(sys, "argv", ["cdmtrain", f"run={name}", "trainer.max_epochs=2", "print_config=false"])
        assert cli.main() == 0
    assert train_losses(tmp_path / "two") == pytest.approx(train_losses(tmp_path / "one"), rel=1e-5)
    assert len(train_losses(tmp_path / "two")) == 2
    source, one, two = (
        torch.load(tmp_path / name / "checkpoints/last.ckpt", weights_only=True)["state_dict"]
        for name in ("source", "one", "two")
    )
    same = [key for key in source if key.startswith("model.") and torch.equal(source[key], two[key])]
    assert same == [key for key in source if key.startswith("model.layers.0.")]
    for key in source:
        torch.testing.assert_close(one[key], two[key], rtol=1e-4, atol=1e-6)


FAILS_IN_THE_SECOND = """
import os
if os.environ.get("LOCAL_RANK") == "1":
    from cdmtrain.classifier import Classifier
    from cdmtrain.errors import InputError
    def training_step(self, batch, batch_index):
        {statement}
    Classifier.training_step = training_step
"""


@pytest.mark.parametrize(
    ("statement", "sentence"),
    [
        ("raise InputError('the second process has no luck')", "the second process has no luck"),
        ("import signal; os.kill(os.getpid(), signal.SIGKILL)", "process 2 of the run was ended by SIGKILL"),
    ],
)
def test_a_process_that_fails_ends_all_with_one_sentence(
    train: Train,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    statement: str,
    sentence: str,
) -> None:
    (tmp_path / "sitecustomize.py").write_text(FAILS_IN_THE_SECOND.format(statement=statement))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert train("run_dir=run", "trainer=ddp", "trainer.accelerator=cpu") == 1
    assert capsys.readouterr().err == f"error: {sentence}\n"
    status = json.loads((tmp_path / "run/status.json").read_text())
    assert (status["state"], status["error"]) == ("failed", sentence)
    assert [name for name in LEFT_BEHIND if name in os.environ] == []
    assert not torch.distributed.is_initialized()


def test_options_of_the_trainer_train(train: Train, tmp_path: Path) -> None:
    options = ["trainer.precision=bf16-mixed", "trainer.accumulate_grad_batches=3", "trainer.deterministic=true"]
    assert train("run_dir=run", "trainer.max_epochs=1", *options) == 0
    steps = torch.load(tmp_path / "run/checkpoints/last.ckpt", weights_only=True)["global_step"]
    assert steps == 4  # of 12 batches


def test_a_compiled_network_has_the_names_and_weights_of_one_that_is_not(
    train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compile = torch.nn.Module.compile
    compiled = []

    def without_code(self: torch.nn.Module) -> None:
        compiled.append(type(self).__name__)
        compile(self, backend="eager")  # a C++ compiler takes a minute

    monkeypatch.setattr(torch.nn.Module, "compile", without_code)
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # its checks of shapes cannot be compiled
    assert train("run_dir=plain", "trainer.max_epochs=1") == 0
    assert compiled == []
    assert train("run_dir=compiled", "trainer.max_epochs=1", "trainer.compile=true") == 0
    assert compiled == ["DNN"]
    plain, other = (
        torch.load(tmp_path / name / "checkpoints/best.ckpt", weights_only=True)["state_dict"]
        for name in ("plain", "compiled")
    )
    assert plain.keys() == other.keys()
    assert all(torch.allclose(plain[name].float(), other[name].float()) for name in plain)


def test_a_network_that_cannot_be_compiled_is_one_sentence(
    train: Train, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def backend(graph: object, inputs: object) -> object:
        raise RuntimeError("there is no compiler")

    monkeypatch.setattr(torch.nn.Module, "compile", functools.partialmethod(torch.nn.Module.compile, backend=backend))
    assert train("run_dir=run", "trainer=debug", "trainer.compile=true") == 1
    error = capsys.readouterr().err
    assert error.startswith("error: trainer.compile=true: this network cannot be compiled here (")
    assert "there is no compiler" in error
    assert error.endswith("; set trainer.compile=false\n")
