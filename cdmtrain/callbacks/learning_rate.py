"""Log the learning rate of every epoch."""

from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback


class LearningRate(Callback):
    """Log `learning_rate`: that of the first parameter group in the last step of an epoch.

    Lightning's LearningRateMonitor logs at the start of an epoch, which a run resumed in mid-epoch never passes.
    """

    def __init__(self) -> None:
        super().__init__()
        self._rate = 0.0

    def on_train_batch_start(self, trainer: lightning.Trainer, module: Any, batch: Any, batch_idx: int) -> None:
        self._rate = trainer.optimizers[0].param_groups[0]["lr"]

    def on_train_epoch_end(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        module.log("learning_rate", self._rate, sync_dist=True)
