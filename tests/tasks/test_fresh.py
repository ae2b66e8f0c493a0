"""`data.fresh=true`: a run that was killed while fresh events trained it goes on with the same events."""

import signal
from pathlib import Path

import pytest

from tests.forked import Python
from tests.tasks.test_resume import KILLER, rows_without_times
from tests.tasks.training import TRAIN, cdmtrain, same_weights

EVENTS = ["data.events=40", "data.split.train=[0,0.5]", "data.split.val=[0.5,0.75]", "data.split.test=[0.75,1]"]
FRESH = ["data.fresh=true", "data.uses=2", "augmentation=symmetries", "trainer.max_epochs=5"]


def test_a_run_killed_while_fresh_events_train_it_ends_bit_identical(
    here: Path, monkeypatch: pytest.MonkeyPatch, python: Python
) -> None:
    settings = [*TRAIN, "simulation.image_size=16", *EVENTS, *FRESH, "callbacks.checkpoint.every_seconds=0"]
    assert cdmtrain(monkeypatch, *settings, f"run_dir={here / 'undisturbed'}") == 0

    script = KILLER.format(step=8)  # the second of the fourth epoch's two steps
    assert python(script, *settings, f"run_dir={here / 'killed'}").returncode == -signal.SIGKILL
    assert cdmtrain(monkeypatch, f"run={here / 'killed'}", "print_config=false") == 0

    assert same_weights(here / "undisturbed", here / "killed")
    assert rows_without_times(here / "undisturbed") == rows_without_times(here / "killed")
