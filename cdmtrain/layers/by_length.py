"""Encode sequences in groups of similar length, so that little padding is computed."""

from collections.abc import Callable

import torch
from torch import Tensor

from cdmtrain.batch import Sequence


@torch.compiler.disable(recursive=False)  # lengths depend on the events; the compiler takes `encode` alone
def encode_by_length(encode: Callable[[Sequence], Tensor], sequence: Sequence, *, num_groups: int) -> Tensor:
    """Return encode(sequence), computed in groups of events of similar length.

    Each group is padded only to its own longest event, which saves at least half of the padding. The values are the
    same for every `encode` that treats events independently and ignores padding.

    Args:
        encode: maps a Sequence of B events to a tensor with one row per event.
        sequence: the events.
        num_groups: number of groups, of equal numbers of events; fewer where there are fewer events.

    Shapes: Sequence of B events -> (B, ...).
    """
    length = sequence.mask.sum(1)
    order = length.argsort()
    groups = order.chunk(num_groups)
    longest = length[torch.stack([group[-1] for group in groups])].clamp(min=2).tolist()  # 1 would be compiled anew
    cut = zip(groups, longest, strict=True)
    encoded = [encode(Sequence(sequence.feature[group, :end], sequence.mask[group, :end])) for group, end in cut]
    return torch.cat(encoded)[order.argsort()]
