"""Batches of one part of the data, in an order fixed by seed and epoch, resumable within an epoch."""

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from cdmtrain.batch import EventBatch
from cdmtrain.data.device import Events


class EpochOrder:
    """The order of the events in an epoch: a permutation drawn from (seed, epoch), so no state needs saving.

    Memory: 8 bytes an event, as dataset indices and their order are of 32 bits.
    """

    def __init__(self, dataset_index: Int[Tensor, " chosen"], *, shuffle: bool, seed: int) -> None:
        self._dataset_index = dataset_index.int()
        self._shuffle = shuffle
        self._seed = seed
        self.epoch = 0

    def __len__(self) -> int:
        return len(self._dataset_index)

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning at the start of an epoch."""
        self.epoch = epoch

    def position(self) -> Int[Tensor, " chosen"]:
        """The order of this epoch: numbers from 0 on."""
        if not self._shuffle:
            return torch.arange(len(self), dtype=torch.int32)
        generator = torch.Generator().manual_seed(_epoch_seed(self._seed, self.epoch))
        return torch.randperm(len(self), generator=generator, dtype=torch.int32)

    def dataset_index(self) -> Int[Tensor, " chosen"]:
        """The events of this epoch, in order."""
        return self._dataset_index[self.position()] if self._shuffle else self._dataset_index


class Accumulation(NamedTuple):
    """How many batches make a step together, and how many an epoch has."""

    batches: int = 1
    epoch: float = math.inf


class EventLoader:
    """An iterable of EventBatch, of which process `rank` takes every `world_size`-th event.

    The last batch holds the rest of the events. If these are fewer than the processes, they join the batch before,
    because an empty batch would give NaN gradients on every process. If a batch cannot be split evenly, each process's
    share carries the weight that makes the mean over processes the mean over events. So does a batch of fewer events,
    or of a step of fewer batches, where several batches make a step (the Trainer divides by their usual number).

    Args:
        events: makes the batches, on its device.
        order: the events of an epoch.
        batch_size: events in a batch, over all processes together.
        rank, world_size: number of this process, and of all processes.
        accumulated: tells, when an epoch begins, which batches make a step together; None: each by itself.
        fresh: gives as many other events in place of those of the order, by epoch, or None where the order's are used.
    """

    def __init__(
        self,
        events: Events,
        order: EpochOrder,
        *,
        batch_size: int,
        rank: int = 0,
        world_size: int = 1,
        accumulated: Callable[[], Accumulation] | None = None,
        fresh: Callable[[int], Events | None] | None = None,
    ) -> None:
        self.events = events
        self.sampler, self.batch_sampler = order, None  # names by which Lightning finds set_epoch
        self._batch_size = batch_size
        self._rank = rank
        self._world_size = world_size
        self._accumulated = accumulated or Accumulation
        self._fresh = fresh
        self._state = {"epoch": 0, "event": 0}
        self._resuming = False

    def __len__(self) -> int:
        return len(self._boundaries(0)) - 1

    def __iter__(self) -> Iterator[EventBatch]:
        epoch = self.sampler.epoch
        fresh = self._fresh(epoch) if self._fresh else None
        dataset_index = self.sampler.position() if fresh else self.sampler.dataset_index()
        first = self._state["event"] if self._resuming and self._state["epoch"] == epoch else 0
        self._resuming = False
        batches = list(pairwise(self._boundaries(first)))
        for (start, end), weight in zip(batches, self._weights(batches), strict=True):
            self._state = {"epoch": epoch, "event": end}
            yield self._share(fresh or self.events, dataset_index[start:end].long(), weight)

    def state_dict(self) -> dict[str, int]:
        """The epoch of the last batch and how many events of it were given, over all processes, however many."""
        return dict(self._state)

    def load_state_dict(self, state: dict[str, int]) -> None:
        """The next iteration continues after `state` if it is of the same epoch, else it begins the epoch."""
        self._state, self._resuming = dict(state), True

    def _boundaries(self, first: int) -> list[int]:
        """Where batches begin, from event `first` of the epoch on, and where the last one ends."""
        boundaries = [*range(first, len(self.sampler), self._batch_size), len(self.sampler)]
        if len(boundaries) > 2 and boundaries[-1] - boundaries[-2] < self._world_size:
            del boundaries[-2]
        return boundaries

    def _weights(self, batches: list[tuple[int, int]]) -> Iterator[float]:
        """The weight of each batch (first event, end) in the mean over the events of its step."""
        num_batches, in_epoch = self._accumulated()
        last = min(len(batches), in_epoch - batches[0][0] // self._batch_size) if batches else 0
        for number, (start, end) in enumerate(batches):
            first = number - number % num_batches
            step_end = batches[int(max(min(first + num_batches, last), number + 1)) - 1][1]
            yield num_batches * (end - start) / (step_end - batches[first][0])

    def _share(self, events: Events, dataset_index: Int[Tensor, " chosen"], weight: float) -> EventBatch:
        """This process's events of a batch; if a resumed epoch leaves it none, one event of weight 0."""
        mine = dataset_index[self._rank :: self._world_size]
        weight *= self._world_size * len(mine) / len(dataset_index)
        return replace(events.make_batch(mine if len(mine) else dataset_index[:1]), weight=weight)


def _epoch_seed(seed: int, epoch: int) -> int:
    """A seed of 63 bits for each pair of seed and epoch."""
    return int(np.random.SeedSequence((seed, epoch)).generate_state(1, np.uint64)[0] >> np.uint64(1))
