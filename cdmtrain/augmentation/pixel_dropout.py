"""Hits removed at random, as dead channels and thresholds do."""

import torch
from torch import nn

from cdmtrain.augmentation.kept import kept
from cdmtrain.batch import EventBatch
from cdmtrain.errors import InputError


class PixelDropout(nn.Module):
    """Removes each hit with the same probability; an event may lose all.

    Args:
        probability: of a hit to be removed, from 0 to below 1; InputError otherwise.
    """

    def __init__(self, *, probability: float) -> None:
        super().__init__()
        if not 0 <= probability < 1:
            raise InputError(f"augmentation.pixel_dropout.probability={probability}: from 0 to below 1 is expected")
        self.probability = probability

    def forward(self, batch: EventBatch, generator: torch.Generator) -> EventBatch:
        draw = torch.rand(len(batch.pixel), generator=generator, device=batch.pixel.device)
        return kept(batch, draw >= self.probability)
