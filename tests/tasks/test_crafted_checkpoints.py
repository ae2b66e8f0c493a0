"""A checkpoint whose numbers a stranger has written ends in a sentence, not in a traceback or worse."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cdmtrain.callbacks.random_states import random_states, set_random_states
from tests.tasks.training import cdmtrain

OLD_RUN = Path(__file__).parents[1] / "fixtures/run_0_1"
LAST = Path("run/checkpoints/last.ckpt")


def crafted(change: Callable[[dict[str, Any]], object]) -> None:
    """An old run that was cut, and whose last checkpoint is changed."""
    shutil.copytree(OLD_RUN, "run")
    shutil.copyfile("run/events.h5", "events.h5")
    Path("run/results.json").unlink()
    status = json.loads(Path("run/status.json").read_text())
    Path("run/status.json").write_text(json.dumps(status | {"state": "running"}))
    config = Path("run/config.yaml")
    config.write_text(config.read_text().replace("max_epochs: 3", "max_epochs: 4"))
    content = torch.load(LAST, weights_only=True)
    for state in content["callbacks"].values():
        state |= {"finished": False} if "finished" in state else {}
    change(content)
    torch.save(content, LAST)


def numpy_state(content: dict[str, Any]) -> list[Any]:
    return content["random_states"]["numpy"]


def moments(content: dict[str, Any], change: Callable[[torch.Tensor], object], *, fused: bool = True) -> None:
    """Change the moments of every weight; torch takes any, and crashes in the first step."""
    (optimizer,) = content["optimizer_states"]
    optimizer["param_groups"][0]["fused"] = fused
    for states in optimizer["state"].values():
        states["exp_avg"] = change(states["exp_avg"])


CHANGES: dict[str, Callable[[dict[str, Any]], object]] = {
    "a generator's position": lambda content: numpy_state(content).__setitem__(2, 10**8),
    "a negative position": lambda content: numpy_state(content).__setitem__(2, -1),
    "a short generator": lambda content: numpy_state(content).__setitem__(1, [1, 2]),
    "random states in words": lambda content: content.update(random_states={"python": "x"}),
    "optimizer states of none": lambda content: content.update(optimizer_states=[{}]),
    "optimizer states in words": lambda content: content.update(optimizer_states="x"),
    "optimizer states of other weights": lambda content: moments(content, lambda value: value[:1]),
    "optimizer states of one number": lambda content: moments(content, lambda value: torch.zeros(())),
    "optimizer states of other weights that fail in the first step": lambda content: moments(
        content, lambda value: torch.zeros(7), fused=False
    ),
    "optimizer states without moments": lambda content: moments(content, lambda value: None),
    "loops in words": lambda content: content.update(loops="x"),
    "weights of another shape": lambda content: content["state_dict"].update(
        {name: value[:0] for name, value in content["state_dict"].items() if value.ndim}
    ),
    "callbacks in words": lambda content: content.update(callbacks="x"),
    "a state with a path": lambda content: [
        state.update(best_score="/home") for state in content["callbacks"].values() if "best_score" in state
    ],
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_crafted_checkpoint_is_one_sentence(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], change: str
) -> None:
    crafted(CHANGES[change])
    assert cdmtrain(monkeypatch, "run=run", "print_config=false") == 1
    error = capsys.readouterr().err
    assert "last.ckpt" in error
    assert "Traceback" not in error


def test_random_states_are_restored() -> None:
    states = random_states()
    drawn = np.random.random()  # noqa: NPY002
    set_random_states(states)
    assert np.random.random() == drawn  # noqa: NPY002
