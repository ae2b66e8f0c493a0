"""The command, run in this process on small images, and the weights that it leaves."""

import sys
from pathlib import Path

import pytest
import torch

from cdmtrain import cli

TRAIN = ["model.channels=[2,4]", "data.image_size=16", "data.batch_size=10", "trainer=cpu", "print_config=false"]


def cdmtrain(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["cdmtrain", *words])
    return cli.main()


def words(file: Path, run_dir: Path, *more: str) -> list[str]:
    return ["data=hdf5", f"data.files=[{file}]", f"run_dir={run_dir}", *TRAIN, *more]


def weights(run_dir: Path, name: str = "last") -> dict[str, torch.Tensor]:
    checkpoint = torch.load(run_dir / "checkpoints" / f"{name}.ckpt", weights_only=True)
    return {key: value for key, value in checkpoint["state_dict"].items() if key.startswith("model.")}


def same_weights(one: Path, other: Path, name: str = "last") -> bool:
    first, second = weights(one, name), weights(other, name)
    return first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)
