"""Which events train, validate and test: the same for every architecture and every seed of the training."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple, Protocol

import torch
from jaxtyping import Int
from torch import Tensor

from cdmtrain.errors import InputError

PARTS = ("train", "val", "test")


class Parts(NamedTuple):
    """The dataset indices of the events of each part."""

    train: Int[Tensor, " chosen"]
    val: Int[Tensor, " chosen"]
    test: Int[Tensor, " chosen"]


class Split(Protocol):
    """Gives the dataset indices of each part from the class of every event."""

    def __call__(self, class_index: Int[Tensor, " event"]) -> Parts: ...


class FractionSplit:
    """Parts by position in the data set: of N events, [a, b] takes those from a N to b N.

    K-fold cross-validation: every K-th event of train and val together validates, the others train. The test part stays
    as it is. Every fold is spread over the whole range of events, whatever the order of the files.

    Args:
        train, val, test: [a, b] of each part.
        folds: K, or None for no cross-validation.
        fold: the fold that validates, from 0 to K - 1.
    """

    def __init__(
        self,
        *,
        train: Sequence[float],
        val: Sequence[float],
        test: Sequence[float],
        folds: int | None = None,
        fold: int = 0,
    ) -> None:
        self._fractions = _check_fractions(train, val, test)
        if folds is None and fold != 0:
            raise InputError(f"data.split.fold={fold}: set data.split.folds too, to how many folds there are")
        if folds is not None and not (isinstance(folds, int) and folds >= 2):
            raise InputError(f"data.split.folds={folds}: at least 2 folds, or null for none, are expected")
        if folds is not None and not 0 <= fold < folds:
            raise InputError(f"data.split.fold={fold}: a whole number from 0 to {folds - 1} is expected")
        self._folds = folds
        self._fold = fold

    def __call__(self, class_index: Int[Tensor, " event"]) -> Parts:
        parts = Parts(*(torch.arange(*_bounds(part, len(class_index))) for part in self._fractions))
        return self._choose_fold(parts, torch.zeros_like(class_index))

    def _choose_fold(self, parts: Parts, stratum: Int[Tensor, " event"]) -> Parts:
        """The parts of this fold. Events of each stratum (one number an event) are dealt out separately."""
        if self._folds is None:
            return parts
        pool = torch.cat([parts.train, parts.val])
        validates = torch.zeros(len(pool), dtype=torch.bool)
        for one in stratum[pool].unique():
            validates[(stratum[pool] == one).nonzero().flatten()[self._fold :: self._folds]] = True
        return parts._replace(train=pool[~validates], val=pool[validates])


class StratifiedSplit(FractionSplit):
    """Parts drawn at random, with the same fractions of every class in each part and in each fold.

    Args:
        seed: seed of the draw.
        settings: the arguments of FractionSplit.
    """

    def __init__(self, *, seed: int, **settings: Any) -> None:
        super().__init__(**settings)
        self._seed = seed

    def __call__(self, class_index: Int[Tensor, " event"]) -> Parts:
        generator = torch.Generator().manual_seed(self._seed)
        order = torch.randperm(len(class_index), generator=generator)
        by_class = [order[class_index[order] == one] for one in class_index.unique()]
        parts = []
        for part in self._fractions:
            chosen = torch.cat([events[slice(*_bounds(part, len(events)))] for events in by_class])
            parts.append(chosen[torch.randperm(len(chosen), generator=generator)])  # data.train_events is fair too
        return self._choose_fold(Parts(*parts), class_index)


def _bounds(part: tuple[float, float], num_events: int) -> tuple[int, int]:
    return round(part[0] * num_events), round(part[1] * num_events)


def _is_part(part: object) -> bool:
    numbers = list(part) if isinstance(part, Sequence) else []
    return len(numbers) == 2 and all(isinstance(n, int | float) for n in numbers) and 0 <= numbers[0] <= numbers[1] <= 1


def _check_fractions(*parts: Sequence[float]) -> list[tuple[float, float]]:
    for name, part in zip(PARTS, parts, strict=True):
        if not _is_part(part):
            raise InputError(f"data.split.{name}={part}: two fractions [a, b] with 0 <= a <= b <= 1 are expected")
    ordered = sorted(tuple(part) for part in parts if part[0] < part[1])
    for (_, end), (begin, _) in pairwise(ordered):
        if begin < end:
            raise InputError(f"data.split: {list(map(list, ordered))} overlap; no event may be in two parts")
    return [(float(part[0]), float(part[1])) for part in parts]
