"""Square patches of an image, some of which are hidden from the network."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int
from torch import Tensor, nn

from cdmtrain.batch import EventBatch


@dataclass(frozen=True)
class Patches:
    """The patches of a batch that hold lit pixels, and which of them are hidden.

    A patch has a number in the batch, (event * G + row) * G + column, with G rows and columns of patches in an image.
    """

    of_hit: Int[Tensor, " hit"]  # number of the patch of each hit
    place: Int[Tensor, " hit"]  # row * p + column of each hit in its patch
    lit: Int[Tensor, " patch"]  # numbers of the patches that hold a hit, ascending
    hidden: Bool[Tensor, " patch"]  # which of them are hidden
    hides: Bool[Tensor, " hit"]  # which hits are in a hidden patch
    grid: tuple[int, int, int]  # events, G, G

    def asked(self) -> Int[Tensor, " asked"]:
        """The numbers of the patches that are asked for: hidden ones, and dark ones beside a patch that holds a hit."""
        lit = torch.zeros(self.grid, device=self.lit.device).view(-1).index_fill_(0, self.lit, 1)
        near = nn.functional.max_pool2d(lit.view(self.grid), 3, stride=1, padding=1).view(-1)
        return near.index_fill_(0, self.lit[~self.hidden], 0).nonzero().squeeze(1)


def hide_patches(batch: EventBatch, size: int, share: float, generator: torch.Generator) -> Patches:
    """Hide patches of each event at random.

    Args:
        batch: events.
        size: rows and columns p of a patch.
        share: of the n lit patches of an event that are hidden: the nearest whole number to share * n, at most n - 1,
            so that something of the event is left to be seen. Of an event in one patch nothing is hidden.
        generator: of the random numbers, on the device of the batch.
    """
    side = -(-batch.image_size // size)
    of_hit = (batch.event * side + batch.row // size) * side + batch.column // size
    lit, index = torch.unique(of_hit, return_inverse=True)
    event = lit // side**2
    number = torch.bincount(event, minlength=batch.num_events)
    count = torch.minimum((share * number + 0.5).long(), (number - 1).clamp(min=0))
    noise = torch.rand(len(lit), generator=generator, device=lit.device, dtype=torch.float64)
    order = (event + noise).argsort()  # at random within each event
    rank = torch.empty_like(lit).scatter_(0, order, torch.arange(len(lit), device=lit.device))
    hidden = rank - (number.cumsum(0) - number)[event] < count[event]
    return Patches(
        of_hit=of_hit,
        place=batch.row % size * size + batch.column % size,
        lit=lit,
        hidden=hidden,
        hides=hidden[index],
        grid=(batch.num_events, side, side),
    )
