"""Report every epoch to the owner of the run's status."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import lightning
from lightning.pytorch.callbacks import Callback

# called with the last finished epoch, its monitored metric (name, value), and when training should end
RecordEpoch = Callable[[int, tuple[str, float] | None, datetime | None], None]


class StatusCallback(Callback):
    """Report the last finished epoch, its monitored metric, and when training will end at the present pace.

    Args:
        record: called at the end of every epoch.
        monitor: name of a logged metric.
    """

    def __init__(self, record: RecordEpoch, *, monitor: str) -> None:
        super().__init__()
        self._record = record
        self._monitor = monitor
        self._began = time.monotonic()  # the clock of the machine may be set meanwhile
        self._start_fraction = 0.0  # of the training, done by earlier processes

    def on_train_start(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        self._began, self._start_fraction = time.monotonic(), _fraction_done(trainer, trainer.current_epoch)

    def on_train_epoch_end(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        value, epoch = trainer.callback_metrics.get(self._monitor), trainer.current_epoch + 1
        metric = None if value is None or not value.isfinite() else (self._monitor, float(value))
        self._record(epoch, metric, self._expected_end(_fraction_done(trainer, epoch)))

    def _expected_end(self, fraction: float) -> datetime | None:
        """None where neither a number of epochs nor of steps ends the training."""
        if fraction <= self._start_fraction:
            return None
        seconds = (time.monotonic() - self._began) / (fraction - self._start_fraction)  # of the whole training
        return datetime.now(UTC) + timedelta(seconds=seconds * max(0.0, 1 - fraction))


def _fraction_done(trainer: lightning.Trainer, epochs: int) -> float:
    """The fraction of the training that is done, by epochs or by steps, whichever will end it."""
    limits = ((epochs, trainer.max_epochs or -1), (trainer.global_step, trainer.max_steps))
    return max((done / limit for done, limit in limits if limit > 0), default=0.0)
