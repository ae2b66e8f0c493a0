"""Batches of one part of the data, in an order that seed and epoch fix, resumable in mid-epoch."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from cdmtrain.batch import EventBatch
from cdmtrain.data.events import EventStore


class EpochOrder:
    """The order of the events in an epoch: a permutation drawn from (seed, epoch), so no state needs saving.

    It takes 8 bytes an event: dataset indices and their order are stored in 32 bits.
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

    def dataset_index(self) -> Int[Tensor, " chosen"]:
        if not self._shuffle:
            return self._dataset_index
        generator = torch.Generator().manual_seed(_mixed(self._seed, self.epoch))
        return self._dataset_index[torch.randperm(len(self._dataset_index), generator=generator, dtype=torch.int32)]


class EventLoader:
    """An iterable of EventBatch; `batch_size` is of all processes together, each takes every `world_size`-th event.

    The last batch holds what remains. Where that is less than an event a process, it joins the batch before: the mean
    loss of no event is not a number, and would end in the gradients of all. A batch that cannot be shared out evenly
    has in each process the weight with which the mean over the processes is that over all events.
    """

    def __init__(
        self, store: EventStore, order: EpochOrder, *, batch_size: int, rank: int = 0, world_size: int = 1
    ) -> None:
        self._store = store
        self.sampler, self.batch_sampler = order, None  # by these names Lightning finds set_epoch
        self._batch_size = batch_size
        self._rank = rank
        self._world_size = world_size
        self._state = {"epoch": 0, "event": 0}
        self._resuming = False

    def __len__(self) -> int:
        return len(self._cuts(0)) - 1

    def __iter__(self) -> Iterator[EventBatch]:
        epoch, dataset_index = self.sampler.epoch, self.sampler.dataset_index()
        first = self._state["event"] if self._resuming and self._state["epoch"] == epoch else 0
        self._resuming = False
        for start, end in pairwise(self._cuts(first)):
            self._state = {"epoch": epoch, "event": end}
            yield self._share(dataset_index[start:end].long())

    def state_dict(self) -> dict[str, int]:
        """The epoch of the last batch given and how many of its events were: of all processes, however many."""
        return dict(self._state)

    def load_state_dict(self, state: dict[str, int]) -> None:
        """The next iteration goes on from `state` if it is of the same epoch, else begins the epoch."""
        self._state, self._resuming = dict(state), True

    def _cuts(self, first: int) -> list[int]:
        """Where batches begin and the last one ends, from event `first` of the epoch on."""
        cuts = [*range(first, len(self.sampler), self._batch_size), len(self.sampler)]
        if len(cuts) > 2 and cuts[-1] - cuts[-2] < self._world_size:
            del cuts[-2]
        return cuts

    def _share(self, dataset_index: Int[Tensor, " chosen"]) -> EventBatch:
        """This process's events of a batch. Where a resumed epoch leaves it none, one that has no weight."""
        mine = dataset_index[self._rank :: self._world_size]
        weight = self._world_size * len(mine) / len(dataset_index)
        return replace(self._store.make_batch(mine if len(mine) else dataset_index[:1]), weight=weight)


def _mixed(seed: int, epoch: int) -> int:
    return int(np.random.SeedSequence((seed, epoch)).generate_state(1, np.uint64)[0] >> np.uint64(1))
