"""Which events train, validate and test; the same for every architecture and every seed of the training."""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple, Protocol

import torch
from jaxtyping import Int
from torch import Tensor

from cdmtrain.errors import InputError

PARTS = ("train", "val", "test")


class Parts(NamedTuple):
    """Entries (positions in the data set) of the three parts."""

    train: Int[Tensor, " chosen"]
    val: Int[Tensor, " chosen"]
    test: Int[Tensor, " chosen"]


class Split(Protocol):
    """What a data module needs of a split."""

    def __call__(self, class_index: Int[Tensor, " event"]) -> Parts: ...


class FractionSplit:
    """Parts by position in the data set: [a, b] takes the events from a N to b N."""

    def __init__(self, *, train: Sequence[float], val: Sequence[float], test: Sequence[float]) -> None:
        self._fractions = _checked(train, val, test)

    def __call__(self, class_index: Int[Tensor, " event"]) -> Parts:
        return Parts(*(torch.arange(*_bounds(part, len(class_index))) for part in self._fractions))


class StratifiedSplit:
    """Parts drawn at random, with the same fractions of every class in each."""

    def __init__(self, *, train: Sequence[float], val: Sequence[float], test: Sequence[float], seed: int) -> None:
        self._fractions = _checked(train, val, test)
        self._seed = seed

    def __call__(self, class_index: Int[Tensor, " event"]) -> Parts:
        generator = torch.Generator().manual_seed(self._seed)
        order = torch.randperm(len(class_index), generator=generator)
        drawn = [order[class_index[order] == one] for one in class_index.unique()]
        parts = []
        for part in self._fractions:
            chosen = torch.cat([mine[slice(*_bounds(part, len(mine)))] for mine in drawn])
            parts.append(chosen[torch.randperm(len(chosen), generator=generator)])  # a first part of it is fair too
        return Parts(*parts)


def _bounds(part: tuple[float, float], num_events: int) -> tuple[int, int]:
    return round(part[0] * num_events), round(part[1] * num_events)


def _is_part(part: object) -> bool:
    numbers = list(part) if isinstance(part, Sequence) else []
    return len(numbers) == 2 and all(isinstance(n, int | float) for n in numbers) and 0 <= numbers[0] <= numbers[1] <= 1


def _checked(*parts: Sequence[float]) -> list[tuple[float, float]]:
    for name, part in zip(PARTS, parts, strict=True):
        if not _is_part(part):
            raise InputError(f"data.split.{name}={part}: two fractions [a, b] with 0 <= a <= b <= 1 are expected")
    ordered = sorted(tuple(part) for part in parts if part[0] < part[1])
    for (_, end), (begin, _) in pairwise(ordered):
        if begin < end:
            raise InputError(f"data.split: {list(map(list, ordered))} overlap; no event may be in two parts")
    return [(float(part[0]), float(part[1])) for part in parts]
