"""One factor on all energies of an event, like a calibration error."""

from dataclasses import replace

import torch
from torch import nn

from cdmtrain.batch import EventBatch
from cdmtrain.errors import InputError


class EnergyScale(nn.Module):
    """Multiply the energies of each event by exp(spread g), with g drawn from the standard normal distribution.

    Args:
        spread: standard deviation of the logarithm of the factor, 0.05 for about 5 %; InputError below 0.
    """

    def __init__(self, *, spread: float) -> None:
        super().__init__()
        if not spread >= 0:
            raise InputError(f"augmentation.energy_scale.spread={spread}: 0 or more is expected")
        self.spread = spread

    def forward(self, batch: EventBatch, generator: torch.Generator) -> EventBatch:
        normal = torch.randn(batch.num_events, generator=generator, device=batch.energy.device)
        factor = (self.spread * normal).exp().to(batch.energy.dtype)
        return replace(batch, energy=batch.energy * factor[batch.event])
