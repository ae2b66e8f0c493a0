"""Training steps and epochs as a run makes them, and in turn with the steps everything else that is timed."""

from collections.abc import Callable
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback

from cdmtrain.batch import EventBatch
from cdmtrain.benchmark.clock import Block, Clock

Stage = Callable[[Clock], None]  # starts the clock and marks the batches of a block
TRAINING = "training"


class Rounds(Callback):
    """Lets the Trainer make `steps` steps, then each stage a block, and so on: what slows the machine slows all alike.

    The last of the Trainer's callbacks, so that the time from one end of a step to the next is all a step costs:
    loading, representation, Lightning, the other callbacks. Stops the training after `repeats` rounds; a first round,
    which warms up, is not kept.

    Args:
        device: that trains.
        repeats: blocks of each stage.
        steps: batches of a block.
    """

    def __init__(self, device: torch.device, *, repeats: int, steps: int) -> None:
        super().__init__()
        self.stages: dict[str, Stage] = {}  # what is timed beside the training, by name
        self.blocks: dict[str, list[Block]] = {}
        self._clock = Clock(device)
        self._repeats = repeats
        self._steps = steps

    def on_train_epoch_start(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        self._clock.start()  # a block lies within an epoch

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
    """Times whole epochs: the training events, the validation, the callbacks before it."""

    def __init__(self, device: torch.device) -> None:
        super().__init__()
        self.blocks: list[Block] = []
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
