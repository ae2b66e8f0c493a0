"""Times the training steps and epochs of a run, and other stages in turn with the steps."""

from collections.abc import Callable
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback

from cdmtrain.batch import EventBatch
from cdmtrain.benchmark.clock import BatchTimes, Clock

Stage = Callable[[Clock], None]  # starts the clock and marks every batch of a block
TRAINING = "training"


class Rounds(Callback):
    """Alternates training steps with blocks of the other stages, so that all of them see the same machine load.

    It has to be the last callback of the Trainer: the time between the ends of two steps then contains all of a step,
    that is loading, representation, Lightning and the other callbacks. It stops the training after `repeats` rounds,
    not counting a first round of warming up, whose times are dropped.

    Args:
        device: the device that trains.
        repeats: number of blocks of each stage.
        steps: number of batches in a block.
    """

    def __init__(self, device: torch.device, *, repeats: int, steps: int) -> None:
        super().__init__()
        self.stages: dict[str, Stage] = {}  # other stages by name
        self.blocks: dict[str, list[BatchTimes]] = {}
        self._clock = Clock(device)
        self._repeats = repeats
        self._steps = steps

    def on_train_epoch_start(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        self._clock.start()  # a block never extends over two epochs

    def on_train_batch_end(
        self,
        trainer: lightning.Trainer,
        module: lightning.LightningModule,
        outputs: Any,
        batch: EventBatch,
        batch_idx: int,
    ) -> None:
        self._clock.mark(batch.num_events)
        if len(self._clock) < self._steps:
            return
        self._keep(TRAINING)
        for name, stage in self.stages.items():
            stage(self._clock)
            self._keep(name)
        trainer.should_stop = len(self.blocks[TRAINING]) > self._repeats
        self._clock.start()

    def on_train_end(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        self.blocks = {name: blocks[1:] for name, blocks in self.blocks.items()}

    def _keep(self, name: str) -> None:
        self.blocks.setdefault(name, []).append(self._clock.block())


class Epochs(Callback):
    """Times whole epochs: training, validation, and the callbacks that come before this one."""

    def __init__(self, device: torch.device) -> None:
        super().__init__()
        self.blocks: list[BatchTimes] = []
        self._clock = Clock(device)
        self._events = 0

    def on_train_epoch_start(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        self._clock.start()
        self._events = 0

    def on_train_batch_end(
        self,
        trainer: lightning.Trainer,
        module: lightning.LightningModule,
        outputs: Any,
        batch: EventBatch,
        batch_idx: int,
    ) -> None:
        self._events += batch.num_events

    def on_train_epoch_end(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        self._clock.mark(self._events)
        self.blocks.append(self._clock.block())
