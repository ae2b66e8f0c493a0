"""A training goes on from the newest checkpoint that is whole; damaged ones are kept under another name."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from cdmtrain.errors import InputError
from cdmtrain.runs import files
from cdmtrain.runs.resume import checkpoint_to_resume


@pytest.fixture
def run(trained: SimpleNamespace, tmp_path: Path) -> Path:
    """A run with its last checkpoint and the one before it."""
    shutil.copytree(trained.path, tmp_path / "run")
    shutil.copy(tmp_path / "run" / files.LAST_CHECKPOINT, tmp_path / "run" / files.PREVIOUS_CHECKPOINT)
    return tmp_path / "run"


def damage(path: Path, kind: str) -> None:
    content = path.read_bytes()
    path.write_bytes({"empty": b"", "half": content[: len(content) // 2], "zeros": bytes(len(content))}[kind])


def test_the_last_checkpoint_is_the_first_choice(run: Path) -> None:
    assert checkpoint_to_resume(run) == run / files.LAST_CHECKPOINT


@pytest.mark.parametrize("kind", ["empty", "half", "zeros"])
def test_a_damaged_checkpoint_is_replaced_by_the_one_before_it_and_then_by_the_best(
    run: Path, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    for damaged, expected in (
        (files.LAST_CHECKPOINT, files.PREVIOUS_CHECKPOINT),
        (files.PREVIOUS_CHECKPOINT, None),  # nothing is left that was set aside now
    ):
        damage(run / damaged, kind)
        best = files.BEST_CHECKPOINT if expected is None else expected
        assert checkpoint_to_resume(run) == run / best
        assert (run / f"{damaged}.damaged-1").exists()
        assert f"it is kept as {Path(damaged).name}.damaged-1" in caplog.text
        assert "()" not in caplog.text


def test_without_any_whole_checkpoint_a_run_begins_anew(run: Path) -> None:
    for name in (files.LAST_CHECKPOINT, files.PREVIOUS_CHECKPOINT, files.BEST_CHECKPOINT):
        damage(run / name, "half")
    assert checkpoint_to_resume(run) is None


def test_a_checkpoint_that_holds_other_objects_is_refused_and_not_replaced(run: Path) -> None:
    torch.save({"state_dict": {}, "path": Path("a")}, run / files.LAST_CHECKPOINT)
    with pytest.raises(InputError):
        checkpoint_to_resume(run)
    assert (run / files.LAST_CHECKPOINT).exists()
