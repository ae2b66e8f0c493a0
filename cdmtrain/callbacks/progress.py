"""Show a progress bar on a terminal, and one line for each epoch elsewhere."""

import sys
import time
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import lightning
from lightning.pytorch.callbacks import RichProgressBar
from rich.progress import ProgressColumn, Task
from rich.text import Text

SHOWN = {"val_loss": "val", "val_accuracy": "acc", "probe_accuracy": "probe"}  # and its name in a bar
AREAS = {"val_electron_photon_auc": "e/γ"}  # the name of a pair of particles in a bar, if it is not its key


class EpochProgress(RichProgressBar):
    """Show the training loss and the main validation metrics.

    Where the output is not a terminal (a cluster's log, a pipe) one line is printed for each epoch.

    Args:
        refresh_rate: number of steps between updates of the bar.
    """

    def __init__(self, *, refresh_rate: int = 10) -> None:
        super().__init__(refresh_rate=refresh_rate, leave=True)
        self._on_terminal = sys.stdout.isatty()
        if not self._on_terminal:
            self.disable()
        self._since = time.monotonic()
        self._validated = False  # in this epoch
        self._figures: dict[str, str] = {}
        self._first: tuple[float, float] | None = None  # when the first step ended, and what was done then
        self._time = ""  # until the training ends; of an epoch that has ended the time that it took

    def configure_columns(self, trainer: lightning.Trainer) -> list[Any]:
        bar = super().configure_columns(trainer)[1]
        bar.bar_width = 10  # leaves room for the figures in 80 columns
        return [Description(self, trainer), bar, Figures(self)]

    def get_metrics(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> dict[str, Any]:
        return {}  # they have a column of their own

    @property
    def figures(self) -> str:
        """The time left of the whole training, the loss and the metrics, for the bar of an epoch."""
        return " ".join([self._time, *(f"{name} {value}" for name, value in self._figures.items())])

    def on_train_start(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        super().on_train_start(trainer, module)
        self._first = None

    def on_train_epoch_start(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        super().on_train_epoch_start(trainer, module)
        self._since, self._validated, self._time = time.monotonic(), False, self._time_left(trainer, 0)

    def on_train_batch_end(
        self, trainer: lightning.Trainer, module: lightning.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if self._on_terminal and batch_idx % self.refresh_rate == 0:  # reading a loss waits for the GPU
            self._figures["loss"] = f"{float(outputs['loss']):.3f}"
            self._time = self._time_left(trainer, (batch_idx + 1) / trainer.num_training_batches)
        super().on_train_batch_end(trainer, module, outputs, batch, batch_idx)

    def on_validation_end(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        figures = trainer.callback_metrics
        self._validated = True
        self._figures |= {short: f"{float(figures[name]):.3f}" for name, short in shown(figures).items()}
        super().on_validation_end(trainer, module)

    def on_train_epoch_end(self, trainer: lightning.Trainer, module: Any) -> None:
        super().on_train_epoch_end(trainer, module)
        self._time = str(timedelta(seconds=round(time.monotonic() - self._since)))
        figures = {"train_loss": module.train_loss.compute()}  # of every process: all take part in it
        if self._validated:  # what is known of an earlier epoch is not this one's
            figures |= {
                name: value
                for name, value in trainer.callback_metrics.items()
                if name in shown(trainer.callback_metrics)
            }
        if self._on_terminal or not trainer.is_global_zero:
            return
        line = "  ".join(f"{name} {float(value):.4f}" for name, value in figures.items())
        seconds = time.monotonic() - self._since
        print(f"{_epoch_of(trainer)}  {line}  {seconds:.0f} s", flush=True)

    def _time_left(self, trainer: lightning.Trainer, of_epoch: float) -> str:
        """The time until the training ends, at the pace since its first step; validation counts."""
        now, done = time.monotonic(), _fraction_done(trainer, of_epoch)
        self._first = self._first or (now, done)
        if done <= self._first[1]:
            return "-:--:-- left"
        pace = (now - self._first[0]) / (done - self._first[1])
        return f"{timedelta(seconds=round(pace * (1 - done)))} left"


def shown(metrics: Mapping[str, Any]) -> dict[str, str]:
    """The metrics that are shown, of the areas of pairs the first, and their names in a bar."""
    areas = [name for name in metrics if name.startswith("val_") and name.endswith("_auc")][:1]
    found = SHOWN | {name: AREAS.get(name, name.removeprefix("val_").removesuffix("_auc")) for name in areas}
    return {name: short for name, short in found.items() if name in metrics}


class Figures(ProgressColumn):
    """What stands beside the bar of an epoch; nothing beside those of validation and test."""

    def __init__(self, bars: EpochProgress) -> None:
        super().__init__()
        self._bars = bars

    def render(self, task: Task) -> Text:
        return Text(self._bars.figures if task.id == self._bars.train_progress_bar_id else "", "dim")


class Description(ProgressColumn):
    """What a bar counts: the training's epoch, counted from one as everywhere else, or Lightning's word."""

    def __init__(self, bars: EpochProgress, trainer: lightning.Trainer) -> None:
        super().__init__()
        self._bars = bars
        self._epoch = _epoch_of(trainer)  # every epoch has new bars

    def render(self, task: Task) -> Text:
        return Text(self._epoch if task.id == self._bars.train_progress_bar_id else task.description)


def _fraction_done(trainer: lightning.Trainer, of_epoch: float) -> float:
    """How much of the training is done, by its epochs or its steps; 0 where neither has an end."""
    epochs, steps = trainer.max_epochs or -1, trainer.max_steps
    by_epochs = (trainer.current_epoch + of_epoch) / epochs if epochs > 0 else 0
    return max(by_epochs, trainer.global_step / steps if steps > 0 else 0)


def _epoch_of(trainer: lightning.Trainer) -> str:
    """The epoch, counted from one, and of how many, where that is known."""
    epochs = trainer.max_epochs or -1
    return f"epoch {trainer.current_epoch + 1}" + (f"/{epochs}" if epochs > 0 else "")
