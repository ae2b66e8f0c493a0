"""Commands on the emulated device: faults end them, and `python tests/gpu/emulated.py WORDS` runs one from cold."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from cdmtrain.batch import EventBatch, Image
from cdmtrain.callbacks import resources
from cdmtrain.representation.image import ImageRepresentation

pytestmark = pytest.mark.emulated
EMULATED = Path(__file__).with_name("emulated.py")


# the command


def test_the_script_runs_a_command_from_a_cold_start_and_shows_its_counts(data: list[str], tmp_path: Path) -> None:
    words = [*data, "model=gnn", "trainer=debug", "trainer.accelerator=gpu", "run_dir=run"]
    found = script(*words, folder=tmp_path, EMULATED_COUNTS="1")
    assert found.returncode == 0, found.stderr
    assert '"accelerator": "Emulated GPU"' in (tmp_path / "run/provenance.json").read_text()
    assert "synchronizations" in found.stderr
    assert "kernels, by line" in found.stderr


def test_the_script_ends_with_the_status_of_the_command(tmp_path: Path) -> None:
    found = script("model=nothing", folder=tmp_path)
    assert found.returncode == 1
    assert "nothing" in found.stderr


def test_without_a_compiler_one_sentence_says_so(tmp_path: Path) -> None:
    found = script("--help", folder=tmp_path, CXX="none")
    assert found.returncode == 1
    assert found.stderr == "error: the emulated device needs a C++ compiler: install g++ or clang++, or set CXX\n"


def script(*words: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    command, env = [sys.executable, EMULATED, *words], {**os.environ, **environment}
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, env=env)


# faults put into the program


def test_a_mixed_operation_in_the_program_ends_a_training(
    device: Any, cdmtrain: Callable[..., int], data: list[str], monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    represent = ImageRepresentation.forward

    def mixed(self: Any, batch: EventBatch) -> Image:
        return represent(self, replace(batch, energy=batch.energy + torch.zeros(len(batch.energy))))

    monkeypatch.setattr(ImageRepresentation, "forward", mixed)
    assert cdmtrain(*data, "model=cnn", "representation=image", "trainer=debug") == 1
    assert "at least two devices, cuda:0 and cpu" in capsys.readouterr().err


def test_a_call_before_cuda_is_initialised_ends_a_training(
    device: Any, cdmtrain: Callable[..., int], data: list[str], monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    init = resources.Resources.__init__

    def early(self: Any) -> None:
        torch.cuda.reset_peak_memory_stats(0)
        init(self)

    monkeypatch.setattr(resources.Resources, "__init__", early)
    assert cdmtrain(*data, "model=perceptron", "trainer=debug") == 1
    assert "did you call init" in capsys.readouterr().err
