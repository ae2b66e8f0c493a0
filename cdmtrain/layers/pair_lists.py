"""The pairs of sites that a kernel joins, as lists: a CPU computes with them faster than with tables half empty."""

from typing import NamedTuple, no_type_check

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from cdmtrain.compiled import jit


class PairLists(NamedTuple):
    """Pairs of sites, one after another for each element of the kernel; pair p leads from source[p] to target[p].

    `by_source` and `by_target` list the pairs as (pairs, where those of each site begin): what a sum over the pairs of
    a site needs.
    """

    source: Int[Tensor, " pair"]
    target: Int[Tensor, " pair"]
    counts: list[int]  # pairs of each element
    by_source: tuple[Int[Tensor, " pair"], Int[Tensor, " source_plus_1"]]
    by_target: tuple[Int[Tensor, " pair"], Int[Tensor, " target_plus_1"]]
    itself: int | None  # the element that leads from every site to itself; its pairs are not listed


def pair_lists(source_of: Int[Tensor, "target element"], num_sources: int, itself: int | None = None) -> PairLists:
    """The pairs of a table, which holds `num_sources` where an element joins none."""
    table = source_of.numpy().copy()
    if itself is not None:
        table[:, itself] = num_sources
    count, *begins = _count(table, num_sources)
    source, target, by_source, by_target = map(torch.from_numpy, _list(table, num_sources, *begins))
    of_source, of_target = map(torch.from_numpy, begins)
    return PairLists(source, target, count.tolist(), (by_source, of_source), (by_target, of_target), itself)


@jit
@no_type_check  # numba knows the types
def _count(source_of, num_sources):
    """The pairs of each element, and where those of each source and of each target begin."""
    num_targets, elements = source_of.shape
    count = np.zeros(elements, np.int64)
    source_begin, target_begin = np.zeros(num_sources + 1, np.int64), np.zeros(num_targets + 1, np.int64)
    for target in range(num_targets):
        for element in range(elements):
            source = source_of[target, element]
            if source < num_sources:
                count[element] += 1
                source_begin[source + 1] += 1
                target_begin[target + 1] += 1
    return count, source_begin.cumsum(), target_begin.cumsum()


@jit
@no_type_check
def _list(source_of, num_sources, source_begin, target_begin):
    """Source and target of each pair, and the pairs by source and by target."""
    num_targets, elements = source_of.shape
    sources, targets = np.empty(target_begin[-1], np.int64), np.empty(target_begin[-1], np.int64)
    by_source, by_target = np.empty_like(sources), np.empty_like(targets)
    next_of_source, next_of_target, pair = source_begin.copy(), target_begin.copy(), 0
    for element in range(elements):
        for target in range(num_targets):
            source = source_of[target, element]
            if source < num_sources:
                sources[pair], targets[pair] = source, target
                by_source[next_of_source[source]] = by_target[next_of_target[target]] = pair
                next_of_source[source] += 1
                next_of_target[target] += 1
                pair += 1
    return sources, targets, by_source, by_target
