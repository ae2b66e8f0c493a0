"""The pairs of sites that a kernel joins, as lists: a CPU computes with them faster than with tables half empty."""

from typing import NamedTuple, no_type_check

import numpy as np
from jaxtyping import Int
from torch import Tensor

from cdmtrain.compiled import jit

SMALLEST, LARGEST, GROUPS = 256, 1024, 16  # sites of a group, and how many groups there are in between


class PairLists(NamedTuple):
    """Pairs of sites, in groups of whole events whose rows fit the cache of a core, and in a group by kernel element.

    Group g has the sources source_row[g] to source_row[g + 1] and the targets target_row[g] to target_row[g + 1]; its
    pairs count from these. Element k of it has the pairs begin[g, k] to begin[g, k + 1].
    """

    source: Int[np.ndarray, " pair"]
    target: Int[np.ndarray, " pair"]
    begin: Int[np.ndarray, "group element_plus_1"]
    source_row: Int[np.ndarray, " group_plus_1"]
    target_row: Int[np.ndarray, " group_plus_1"]


def pair_lists(
    source_of: Int[Tensor, "target element"],
    source_offset: Int[Tensor, " event_plus_1"],
    target_offset: Int[Tensor, " event_plus_1"],
) -> PairLists:
    """The pairs of a table, which holds the number of sources where an element joins none.

    Args:
        source_offset, target_offset: where the sources and the targets of each event begin; pairs are in one event.
    """
    size = min(max(len(source_of) // GROUPS, SMALLEST), LARGEST)
    return PairLists(*_list(source_of.numpy(), source_offset.numpy(), target_offset.numpy(), size))


@jit
@no_type_check  # numba knows the types
def _list(source_of, source_offset, target_offset, size):
    num_targets, num_elements = source_of.shape
    sources, targets = np.empty(source_of.size, np.int32), np.empty(source_of.size, np.int32)
    most = num_targets // size + 1
    begin, rows = np.zeros((most, num_elements + 1), np.int64), np.zeros((2, most + 1), np.int64)
    pair = group = 0
    for event in range(1, len(target_offset)):
        first_source, first = rows[:, group]
        last = target_offset[event]
        if last - first < size and event < len(target_offset) - 1:
            continue
        for element in range(num_elements):
            begin[group, element] = pair
            for target in range(first, last):
                source = source_of[target, element]
                if source < source_offset[-1]:
                    sources[pair], targets[pair] = source - first_source, target - first
                    pair += 1
        begin[group, num_elements] = pair
        group += 1
        rows[0, group], rows[1, group] = source_offset[event], last
    return sources[:pair].copy(), targets[:pair].copy(), begin[:group], rows[0, : group + 1], rows[1, : group + 1]
