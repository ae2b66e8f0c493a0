"""Batches of one part of the data, in an order that seed and epoch fix, resumable in mid-epoch."""

from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from cdmtrain.batch import EventBatch
from cdmtrain.data.events import EventStore


class EpochOrder:
    """The order of the entries in an epoch: a permutation drawn from (seed, epoch), so no state needs saving."""

    def __init__(self, entries: Int[Tensor, " chosen"], *, shuffle: bool, seed: int) -> None:
        self._entries = entries
        self._shuffle = shuffle
        self._seed = seed
        self.epoch = 0

    def __len__(self) -> int:
        return len(self._entries)

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning at the start of an epoch."""
        self.epoch = epoch

    def entries(self) -> Int[Tensor, " chosen"]:
        if not self._shuffle:
            return self._entries
        generator = torch.Generator().manual_seed(_mixed(self._seed, self.epoch))
        return self._entries[torch.randperm(len(self._entries), generator=generator)]


class EventLoader:
    """An iterable of EventBatch; `batch_size` is of all processes together, each takes every `world_size`-th event.

    The last batch holds what remains. Where that is less than an event a process, it joins the batch before: the mean
    loss of no event is not a number, and would end in the gradients of all.
    """

    def __init__(
        self, store: EventStore, order: EpochOrder, *, batch_size: int, rank: int = 0, world_size: int = 1
    ) -> None:
        self._store = store
        self.sampler, self.batch_sampler = order, None  # by these names Lightning finds set_epoch
        self._batch_size = batch_size
        self._rank = rank
        self._world_size = world_size
        self._state = {"epoch": 0, "batch": 0}
        self._resuming = False

    def __len__(self) -> int:
        full, rest = divmod(len(self.sampler), self._batch_size)
        return full + (rest >= self._world_size) or min(rest, 1)

    def __iter__(self) -> Iterator[EventBatch]:
        epoch, entries = self.sampler.epoch, self.sampler.entries()
        first = self._state["batch"] if self._resuming and self._state["epoch"] == epoch else 0
        self._resuming = False
        for number in range(first, len(self)):
            self._state = {"epoch": epoch, "batch": number + 1}
            end = (number + 1) * self._batch_size if number + 1 < len(self) else len(entries)
            chosen = entries[number * self._batch_size : end]
            yield self._store.gather(chosen[self._rank :: self._world_size])

    def state_dict(self) -> dict[str, int]:
        """The epoch of the last batch given and the number of the one after it."""
        return dict(self._state)

    def load_state_dict(self, state: dict[str, int]) -> None:
        """The next iteration goes on from `state` if it is of the same epoch, else begins the epoch."""
        self._state, self._resuming = dict(state), True


def _mixed(seed: int, epoch: int) -> int:
    return int(np.random.SeedSequence((seed, epoch)).generate_state(1, np.uint64)[0] >> np.uint64(1))
