"""A crafted or damaged run does nothing, however it is opened."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

import cdmtrain.cli  # registers the resolver that the configuration uses
from cdmtrain import load_run
from cdmtrain.errors import InputError
from tests.runs.crafted import COMMAND, Config, placed


@pytest.fixture
def stranger(own: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run directory whose parts are in order; changes to it are what a test is about."""
    monkeypatch.chdir(tmp_path)
    run = tmp_path / "stranger"
    (run / "checkpoints").mkdir(parents=True)
    (run / "config.yaml").write_text(yaml.safe_dump(own))
    linear = torch.nn.Linear(64, 4)
    state = {f"model.linear.{name}": value for name, value in linear.state_dict().items()}
    for name in ("best", "last"):
        torch.save({"state_dict": state}, run / f"checkpoints/{name}.ckpt")
    return run


def command(tmp_path: Path) -> str:
    return f"touch {tmp_path / 'marker'}"


def all_that_opens(run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """What each way to open a run says of it."""
    said = []
    with pytest.raises(InputError) as refused:
        load_run(run)
    said.append(str(refused.value))
    for words in ([f"run={run}"],):
        monkeypatch.setattr(sys, "argv", ["cdmtrain", *words, "print_config=false"])
        assert cdmtrain.cli.main() == 1
        said.append(capsys.readouterr().err)
    assert not any("Traceback" in answer for answer in said), said
    return said


@pytest.mark.parametrize(
    ("place", "node"),
    [
        ("model", {"_target_": "logging.os.system", "command": COMMAND}),
        ("model", {"_target_": "builtins.eval", "_args_": [f"__import__('os').system('{COMMAND}')"]}),
        ("loss", {"_target_": "torch.os.system", "command": COMMAND}),
        ("representation", {"inner": [{"_target_": "os.system", "_args_": [COMMAND]}]}),
    ],
)
def test_a_crafted_configuration_runs_nothing_however_it_is_opened(
    own: Config,
    stranger: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    place: str,
    node: Config,
) -> None:
    text = yaml.safe_dump(placed(own, place, node)).replace(COMMAND, command(tmp_path))
    (stranger / "config.yaml").write_text(text)
    for answer in all_that_opens(stranger, monkeypatch, capsys):
        assert "config.yaml: " in answer
    assert not (tmp_path / "marker").exists()


@pytest.mark.parametrize(
    "text",
    [
        "!!python/object/apply:os.system ['COMMAND']",
        "model: !!python/object/new:subprocess.Popen [[sh, -c, COMMAND]]",
        "- a list",
        "seed: 1",
        "a: {",
        "\x00",
        "",
    ],
)
def test_a_configuration_that_is_none_is_one_sentence(stranger: Path, tmp_path: Path, text: str) -> None:
    (stranger / "config.yaml").write_text(text.replace("COMMAND", command(tmp_path)))
    with pytest.raises(InputError, match=r"config\.yaml"):
        load_run(stranger)
    assert not (tmp_path / "marker").exists()


class Evil:
    """Runs a command when it is unpickled."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (self.command,)


def test_a_crafted_checkpoint_runs_nothing_however_it_is_opened(
    stranger: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save({"state_dict": {"model.linear.weight": Evil(command(tmp_path))}}, stranger / "evil.ckpt")
    torch.load(stranger / "evil.ckpt", weights_only=False)
    assert (tmp_path / "marker").exists()  # it is a real one
    (tmp_path / "marker").unlink()
    for name in ("best", "last"):
        (stranger / f"checkpoints/{name}.ckpt").write_bytes((stranger / "evil.ckpt").read_bytes())
    monkeypatch.setattr("cdmtrain.data.datamodule.SimulatedData.make_stores", small_sample)
    for answer in all_that_opens(stranger, monkeypatch, capsys):
        assert "holds objects other than tensors and numbers, which could run code" in answer
    with pytest.raises(InputError, match=r"evil\.ckpt holds objects other than"):
        load_run(stranger, checkpoint=str(stranger / "evil.ckpt"))
    assert not (tmp_path / "marker").exists()


def small_sample(data: Any) -> list[Path]:
    """Stands in for the simulation: a store of sixty events of 8 x 8 pixels."""
    import h5py
    import numpy as np

    from cdmtrain.data.cache import load_or_convert
    from cdmtrain.particles import PDG_CODES

    file = Path("events.h5")
    if not file.exists():
        with h5py.File(file, "w") as stream:
            stream["image"] = np.ones((60, 8, 8), np.float32)
            stream["pdg"] = np.array(PDG_CODES, np.int32)[np.arange(60) % 4]
    return [load_or_convert(file, Path("cache"))]


@pytest.mark.parametrize("damage", [lambda data: b"", lambda data: data[: len(data) // 2], lambda data: b"x" * 1000])
def test_a_damaged_checkpoint_is_one_sentence(stranger: Path, damage: Callable[[bytes], bytes]) -> None:
    path = stranger / "checkpoints/best.ckpt"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(InputError, match=r"best\.ckpt"):
        load_run(stranger)
