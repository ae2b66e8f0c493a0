"""A square of the image that is not read out."""

import torch
from jaxtyping import Float
from torch import Tensor

from cdmtrain.augmentation.effect import DetectorEffect
from cdmtrain.batch import EventBatch


class LostRegion(DetectorEffect):
    """Remove the hits in a square of each event, whose side the event draws uniformly from 0 to the largest one.

    Args:
        largest_pixels: the longest side in pixels; InputError below 0.
    """

    def __init__(self, *, largest_pixels: float) -> None:
        super().__init__("lost_region.largest_pixels", largest_pixels)

    def affect(self, batch: EventBatch, strength: Float[Tensor, " event"], generator: torch.Generator) -> EventBatch:
        return without_region(batch, strength, generator)


def without_region(batch: EventBatch, side: Float[Tensor, " event"], generator: torch.Generator) -> EventBatch:
    """Remove the hits whose centre is in a square of each event.

    The square may reach beyond the image, so that every pixel is equally likely lost: with [a / (S + a)]^2 for a side a
    in an image of S x S pixels.
    """
    draw = torch.rand(2, batch.num_events, generator=generator, device=side.device)
    low = draw * (batch.image_size + side) - side
    position = torch.stack([batch.row, batch.column]) + 0.5
    beyond = position - low[:, batch.event]
    lost = ((beyond >= 0) & (beyond < side[batch.event])).all(0)
    return batch.mask_hits(~lost)
