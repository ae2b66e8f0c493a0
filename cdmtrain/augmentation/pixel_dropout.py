"""Hits removed at random, as dead channels and thresholds remove them."""

import torch
from torch import nn

from cdmtrain.batch import EventBatch
from cdmtrain.errors import InputError


class PixelDropout(nn.Module):
    """Remove each hit with the same probability; an event may lose all of its hits.

    Args:
        probability: that a hit is removed, from 0 to below 1; InputError otherwise.
    """

    def __init__(self, *, probability: float) -> None:
        super().__init__()
        if not 0 <= probability < 1:
            raise InputError(f"augmentation.pixel_dropout.probability={probability}: from 0 to below 1 is expected")
        self.probability = probability

    def forward(self, batch: EventBatch, generator: torch.Generator) -> EventBatch:
        draw = torch.rand(len(batch.pixel), generator=generator, device=batch.pixel.device)
        return batch.mask_hits(draw >= self.probability)
