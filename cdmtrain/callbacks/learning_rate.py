"""The learning rate of every epoch."""

import lightning
from lightning.pytorch.callbacks import Callback


class LearningRate(Callback):
    """Logs `learning_rate`, the rate of the first parameter group at the end of an epoch.

    Lightning's monitor logs at an epoch's start, which a run resumed in mid-epoch never passes.
    """

    def on_train_epoch_end(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        module.log("learning_rate", trainer.optimizers[0].param_groups[0]["lr"], sync_dist=True)
