"""Times the training steps and epochs of a run, and other stages in turn with the steps.

A CPU is timed by its clock, a GPU by events in its stream of work.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from cdmtrain.batch import EventBatch


@dataclass
class BatchTimes:
    """The number of events and the seconds of each of some consecutive batches."""

    events: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


class Clock:
    """Marks the ends of batches without waiting for the device, which is synchronised only before and after a block.

    On a GPU the time of a batch runs from the moment the GPU finished the previous batch until it finishes this one. It
    includes what the GPU computes and how long it waits for the CPU.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._events: list[int] = []
        self._marks: list[Any] = []

    def start(self) -> None:
        """Wait for the device, then begin a block."""
        self._synchronize()
        self._events, self._marks = [], [self._now()]

    def mark(self, events: int) -> None:
        """Mark the end of a batch of this many events."""
        self._marks.append(self._now())
        self._events.append(events)

    def __len__(self) -> int:
        return len(self._events)

    def block(self) -> BatchTimes:
        """Wait for the device, then return the times since the start."""
        self._synchronize()
        pairs = zip(self._marks[:-1], self._marks[1:], strict=True)
        return BatchTimes(self._events, [self._between(start, end) for start, end in pairs])

    def _synchronize(self) -> None:
        if self._device.type != "cpu":
            torch.get_device_module(self._device).synchronize()

    def _now(self) -> Any:
        if self._device.type == "cpu":
            return time.perf_counter()
        mark = torch.get_device_module(self._device).Event(enable_timing=True)
        mark.record()
        return mark

    def _between(self, start: Any, end: Any) -> float:
        return end - start if self._device.type == "cpu" else start.elapsed_time(end) / 1000  # milliseconds


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
        self.stages: Mapping[str, Stage] = {}  # other stages by name
        self.blocks: dict[str, list[BatchTimes]] = {}
        self._clock = Clock(device)
        self._repeats = repeats
        self._steps = steps

    def on_train_epoch_start(self, trainer: Trainer, module: LightningModule) -> None:
        self._clock.start()  # a block never extends over two epochs

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: EventBatch, batch_idx: int
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

    def on_train_end(self, trainer: Trainer, module: LightningModule) -> None:
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

    def on_train_epoch_start(self, trainer: Trainer, module: LightningModule) -> None:
        self._clock.start()
        self._events = 0

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: EventBatch, batch_idx: int
    ) -> None:
        self._events += batch.num_events

    def on_train_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        self._clock.mark(self._events)
        self.blocks.append(self._clock.block())
