"""Compute events in groups of similar length, so that little padding is computed."""

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from cdmtrain.batch import Sequence as HitSequence

# elements of padding that a group may have, if they are also more than its hits: a few long events, by which all others
# would be padded, are then computed by themselves; a GPU computes some padding sooner than it begins another group
MAX_PADDING = {"cpu": 2**12, "gpu": 2**18}


@torch.compiler.disable(recursive=False)  # lengths depend on the events; the compiler takes `encode` alone
def encode_by_length(encode: Callable[[HitSequence], Tensor], sequence: HitSequence, *, num_groups: int) -> Tensor:
    """Return encode(sequence), computed in groups of events of similar length.

    Each group is padded only to its own longest event, which saves at least half of the padding. The values are the
    same for every `encode` that treats events independently and ignores padding.

    Args:
        encode: maps a Sequence of B events to a tensor with one row per event.
        sequence: the events.
        num_groups: number of groups of equal numbers of events; more where an event is much longer than others.

    Shapes: Sequence of B events -> (B, ...).
    """
    length, order = sequence.mask.sum(1).sort()
    encoded = [encode(group) for group in _groups(sequence, length, order, num_groups)]
    return torch.cat(encoded)[order.argsort()]


@torch.compiler.disable(recursive=False)
def encode_hits_by_length(encode: Callable[[HitSequence], Tensor], sequence: HitSequence, *, num_groups: int) -> Tensor:
    """Return the rows of encode(sequence) that are not padding, in the order of events and elements.

    Args:
        encode: maps a Sequence of B events to (B, elements, ...).
        sequence, num_groups: as in `encode_by_length`.

    Shapes: Sequence of B events with N hits together -> (N, ...).
    """
    num_hits = sequence.mask.sum(1)
    length, order = num_hits.sort()
    rows = torch.cat([encode(group)[group.mask] for group in _groups(sequence, length, order, num_groups)])
    before = num_hits.cumsum(0) - num_hits  # hits of the events before
    shift = before[order] - (length.cumsum(0) - length)  # of the rows of an event from where they are
    place = torch.arange(len(rows), device=rows.device) + shift.repeat_interleave(length)
    return rows[place.argsort()]


def _groups(sequence: HitSequence, length: Tensor, order: Tensor, num_groups: int) -> Iterator[HitSequence]:
    """The events, in this order of ascending lengths, cut into groups that are padded little."""
    for group, longest in groups_by_length(length.tolist(), num_groups, order.device):
        events, end = order[group], max(longest, 2)  # 1 would be compiled anew
        yield HitSequence(sequence.feature[events, :end], sequence.mask[events, :end])


def groups_by_length(length: Sequence[int], num_groups: int, device: torch.device) -> list[tuple[slice, int]]:
    """Cut events into groups, each with the length of its longest event.

    Args:
        length: of each event, ascending.
        num_groups: number of groups of equal numbers of events; one with much padding is cut again.
        device: that computes the groups.
    """
    size = max(1, -(-len(length) // num_groups))
    groups, todo = [], [slice(first, min(first + size, len(length))) for first in range(0, len(length), size)]
    most = MAX_PADDING["cpu" if device.type == "cpu" else "gpu"]
    while todo:
        group = todo.pop(0)
        num_events, num_hits, longest = group.stop - group.start, sum(length[group]), length[group.stop - 1]
        if num_events * longest - num_hits > max(most, num_hits):
            middle = group.start + num_events // 2
            todo = [slice(group.start, middle), slice(middle, group.stop), *todo]
        else:
            groups.append((group, longest))
    return groups
