"""`weights=R`: a new run begins with the weights of another one, and needs it no longer once it has a checkpoint."""

import json
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.forked import Python
from tests.tasks.test_resume import KILLER, rows_without_times
from tests.tasks.training import cdmtrain, same_weights, weights, words

Train = Callable[..., int]
TUNED = ["weights=source", "weights_lr=0.1", "freeze=[blocks.0]", "trainer.max_epochs=2", "scheduler=onecycle"]


@pytest.fixture
def train(here: Path, challenge_file: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Train:
    """Trains in a directory beside a run named `source`; words without run= are those of a new run."""
    file = challenge_file(num_events=200)

    def train(run: str, *more: str) -> int:
        return cdmtrain(monkeypatch, *words(file, Path(run), *more))

    assert train("source", "trainer.max_epochs=1") == 0
    return train


def began_with(run: str | Path) -> dict[str, Any]:
    """The record of the weights that a run began with."""
    return json.loads(Path(run, "provenance.json").read_text())["weights"]


def killed(python: Python, file: Path, run: str, step: int) -> None:
    """Begin a run in another process that is killed in a step."""
    done = python(KILLER.format(step=step), *words(file, Path(run), *TUNED))
    assert done.returncode == -signal.SIGKILL


def test_a_run_that_began_with_weights_resumes_bit_identical_without_their_source(
    train: Train, here: Path, monkeypatch: pytest.MonkeyPatch, python: Python
) -> None:
    assert train("undisturbed", *TUNED) == 0
    killed(python, here / "events.h5", "killed", step=17 + 9)
    shutil.rmtree("source")
    assert cdmtrain(monkeypatch, "run=killed", "print_config=false") == 0
    assert same_weights(here / "undisturbed", here / "killed")
    assert same_weights(here / "undisturbed", here / "killed", "best")
    assert rows_without_times(here / "undisturbed") == rows_without_times(here / "killed")
    assert began_with("undisturbed") == began_with("killed")


def test_a_run_of_which_only_the_best_checkpoint_is_left_goes_on_from_it_and_not_from_the_source(
    train: Train, here: Path, monkeypatch: pytest.MonkeyPatch, python: Python, capsys: pytest.CaptureFixture[str]
) -> None:
    killed(python, here / "events.h5", "killed", step=17 + 9)
    for name in ("last", "previous"):
        if (path := here / f"killed/checkpoints/{name}.ckpt").exists():
            path.write_bytes(b"")
    shutil.rmtree("source")
    assert cdmtrain(monkeypatch, "run=killed", "print_config=false") == 0
    assert "goes on from the weights of epoch 1, with a new optimizer" in "".join(capsys.readouterr())


def test_a_run_killed_before_its_first_checkpoint_needs_the_source_again(
    train: Train, here: Path, monkeypatch: pytest.MonkeyPatch, python: Python, capsys: pytest.CaptureFixture[str]
) -> None:
    killed(python, here / "events.h5", "killed", step=1)
    Path("source").rename("moved")
    before = began_with("killed")
    assert cdmtrain(monkeypatch, "run=killed", "print_config=false") == 1
    sentence = "error: killed was stopped before its first checkpoint and begins anew; weights=source does not exist"
    assert sentence in capsys.readouterr().err
    Path("moved").rename("source")
    assert cdmtrain(monkeypatch, "run=killed", "print_config=false") == 0
    assert began_with("killed") == before


def test_a_sweep_over_weights_makes_a_run_for_each(
    train: Train, here: Path, challenge_file: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert train("other", "trainer.max_epochs=1", "seed=2") == 0
    sweep = ["-m", "weights=source,other,other/checkpoints/last.ckpt", "sweep.dir=sweep", "trainer.max_epochs=1"]
    new = [word for word in words(here / "events.h5", here) if not word.startswith("run_dir=")]
    assert cdmtrain(monkeypatch, *new, *sweep, "optimizer=sgd", "optimizer.lr=1e-9") == 0
    runs = [path.parent for path in sorted(Path("sweep").glob("*/results.json"))]
    assert len(runs) == 3
    for run in runs:
        origin = Path(began_with(run)["file"])
        source = weights(origin.parents[1], origin.stem)
        assert all(torch.allclose(value, source[key], atol=1e-6) for key, value in weights(run).items())


REFUSED = [
    (
        ["weights=source", "freeze=[block.0]"],
        "the network has no module block.0 with weights; did you mean",
    ),
    (["freeze=[blocks,linear]"], "freeze leaves no weights of the network to train"),
    (["weights=source", "weights_lr=0"], "weights_lr=0: a number above 0 is expected"),
    (["weights_lr=0.1"], "weights_lr=0.1 is the rate of loaded weights; add weights=..."),
    (["freeze=blocks"], "a list of values in brackets is expected"),
    (["+ckpt_path=source/checkpoints/last.ckpt"], "weights=source/checkpoints/last.ckpt"),
]


def test_what_would_not_be_done_is_refused(train: Train, capsys: pytest.CaptureFixture[str]) -> None:
    for typed, sentence in REFUSED:
        assert train("new", *typed) == 1, typed
        assert sentence in capsys.readouterr().err
        shutil.rmtree("new", ignore_errors=True)
