"""Any value in a recorded configuration, or none, opens the run or ends in one sentence."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from cdmtrain import load_run
from cdmtrain.errors import InputError
from tests.tasks.training import cdmtrain

RUN = Path(__file__).parents[1] / "fixtures/run_0_1"
CONFIG = yaml.safe_load((RUN / "config.yaml").read_text())
IMAGES = np.eye(CONFIG["data"]["image_size"], dtype=np.float32)[None].repeat(3, 0)
OPENED = ("data", "representation", "model", "loss", "seed", "run_dir")
DELETED = object()
VALUES = (DELETED, None, [1], "x", -5, {"_target_": "torch.nn.ReLU"}, {"a": {"b": 1}})


def keys(node: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    inner = (
        [key for name, value in node.items() for key in keys(value, (*path, name))] if isinstance(node, dict) else []
    )
    return ([path] if path else []) + inner


def changed(path: Sequence[str], value: object) -> Any:
    """The configuration with another value at a key, or without the key."""
    config = node = yaml.safe_load((RUN / "config.yaml").read_text())
    for name in path[:-1]:
        node = node[name]
    if value is DELETED:
        del node[path[-1]]
    else:
        node[path[-1]] = value
    return config


@pytest.mark.parametrize("path", [path for path in keys(CONFIG) if path[0] in OPENED], ids=".".join)
def test_a_run_with_another_value_opens_or_is_refused(path: tuple[str, ...], tmp_path: Path) -> None:
    shutil.copytree(RUN, tmp_path / "run")
    for value in VALUES:
        (tmp_path / "run/config.yaml").write_text(yaml.safe_dump(changed(path, value)))
        try:
            load_run(tmp_path / "run").predict(IMAGES)
        except InputError as refused:
            assert "\n" not in str(refused)  # noqa: PT017


USED_IN_TRAINING = {
    "data.split": (None, [1], "word", DELETED),
    "data._target_": (DELETED,),
    "data.split._target_": (DELETED,),
    "representation.scale": (None, -5),
    "model.image_size": ([1, "a"],),
    "optimizer.lr": ("word", [1], -5),
    "optimizer._partial_": (DELETED, None),
    "trainer.max_epochs": ("word", [1]),
    "trainer.gradient_clip_val": ("word",),
    "trainer.limit_val_batches": ([1], -5),
    "callbacks.checkpoint.every_seconds": ("word", None),
    "callbacks.checkpoint": (None, [1], DELETED),
}


@pytest.mark.parametrize("has_checkpoint", [True, False], ids=["with a checkpoint", "without"])
@pytest.mark.parametrize("key", USED_IN_TRAINING)
def test_a_run_with_another_value_goes_on_or_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], key: str, has_checkpoint: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("cdmtrain.tasks.train.write_report", lambda run: run)
    for value in USED_IN_TRAINING[key]:
        shutil.rmtree(tmp_path / "run", ignore_errors=True)
        shutil.copytree(RUN, tmp_path / "run")
        shutil.copyfile("run/events.h5", "events.h5")
        for name in ("results.json", "status.json"):
            (tmp_path / "run" / name).unlink()
        if not has_checkpoint:
            shutil.rmtree("run/checkpoints")
        (tmp_path / "run/config.yaml").write_text(yaml.safe_dump(changed(key.split("."), value)))
        status = cdmtrain(monkeypatch, "run=run", "print_config=false")
        shown = capsys.readouterr().err
        assert "Traceback" not in shown, f"{key}={value}\n{shown}"
        assert status == shown.count("error:"), f"{key}={value}"
