"""A trial that promises little is stopped."""

from collections.abc import Callable

import lightning
from lightning.pytorch.callbacks import Callback

from cdmtrain.errors import Pruned


class Pruning(Callback):
    """Reports the monitored figure of every epoch, and stops the training where the answer is that it is bad.

    Args:
        is_bad: takes the figure and the epoch, from 1.
        monitor: name of a logged figure.

    Raises:
        Pruned: in the epoch that is bad.
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
            raise Pruned(f"pruned after epoch {epoch}: {self._monitor} {value:.4f} promised too little")
