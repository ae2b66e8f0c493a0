"""Stops a trial that is worse than others at the same epoch."""

from collections.abc import Callable

import lightning
from lightning.pytorch.callbacks import Callback

from cdmtrain.errors import Pruned


class Pruning(Callback):
    """Reports the monitored metric after every validation, and stops the training if the trial should be pruned.

    Args:
        is_bad: called with the metric and the epoch, counted from 1; returns whether to stop.
        monitor: name of a logged metric.

    Raises:
        Pruned: to stop the training.
    """

    def __init__(self, is_bad: Callable[[float, int], bool], *, monitor: str) -> None:
        super().__init__()
        self._is_bad = is_bad
        self._monitor = monitor

    def on_validation_end(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        if trainer.state.fn != "fit" or trainer.sanity_checking:
            return
        value, epoch = float(trainer.callback_metrics[self._monitor]), trainer.current_epoch + 1
        if self._is_bad(value, epoch):
            raise Pruned(f"pruned after epoch {epoch}: {self._monitor} {value:.4f} is worse than other trials")
