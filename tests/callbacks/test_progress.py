from types import SimpleNamespace
from typing import Any

import pytest
import torch
from rich.console import Console
from rich.progress import Progress

from cdmtrain.callbacks import progress
from cdmtrain.callbacks.progress import EpochProgress


@pytest.fixture
def bars(monkeypatch: pytest.MonkeyPatch) -> EpochProgress:
    """Bars on a terminal, which are not drawn."""
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    made = EpochProgress(refresh_rate=1)
    made.disable()
    return made


def trainer_after(epochs: int, steps: int, *, max_epochs: int, max_steps: int = -1) -> Any:
    return SimpleNamespace(
        current_epoch=epochs, global_step=steps, max_epochs=max_epochs, max_steps=max_steps, num_training_batches=10
    )


def times_left(bars: EpochProgress, monkeypatch: pytest.MonkeyPatch, *, steps: int, **limits: int) -> list[str]:
    """What the bar says after each step, when a step takes two seconds and an epoch has ten."""
    found = []
    for step in range(steps):
        trainer = trainer_after(step // 10, step + 1, **limits)  # type: ignore[arg-type]
        monkeypatch.setattr(progress.time, "monotonic", lambda now=2 * step: now)
        bars.on_train_batch_end(trainer, None, {"loss": torch.tensor(1.0)}, None, step % 10)  # type: ignore[arg-type]
        found.append(bars.figures.partition(" left")[0])
    return found


def test_the_bar_shows_the_time_left_of_the_whole_training(
    bars: EpochProgress, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = times_left(bars, monkeypatch, steps=11, max_epochs=10)  # 100 steps, 200 s
    assert found[0] == "-:--:--"
    assert (found[1], found[10]) == ("0:03:16", "0:02:58")


def test_the_time_left_ends_with_the_last_step_where_steps_are_limited(
    bars: EpochProgress, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert times_left(bars, monkeypatch, steps=15, max_epochs=-1, max_steps=20)[-1] == "0:00:10"


def test_a_training_without_an_end_has_no_time_left(bars: EpochProgress, monkeypatch: pytest.MonkeyPatch) -> None:
    assert times_left(bars, monkeypatch, steps=15, max_epochs=-1)[-1] == "-:--:--"


def test_an_epoch_and_its_figures_fit_on_a_line_of_80_characters(bars: EpochProgress) -> None:
    trainer = trainer_after(998, 0, max_epochs=999)
    bars._time = "10:00:00 left"
    bars._figures = dict.fromkeys(("loss", "val", "acc", "e/γ"), "0.123")
    console = Console(width=80, force_terminal=True, color_system=None)
    shown = Progress(*bars.configure_columns(trainer), console=console)
    bars.train_progress_bar_id = shown.add_task("", total=10)
    with console.capture() as captured:
        console.print(shown.get_renderable())
    assert len(captured.get().splitlines()) == 1
    assert captured.get().rstrip().endswith("loss 0.123 val 0.123 acc 0.123 e/γ 0.123")
