"""A detector effect in training: how strong it is in each event of a batch."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from cdmtrain.batch import EventBatch
from cdmtrain.errors import InputError


class DetectorEffect(nn.Module):
    """Draw a strength for every event, uniformly from 0 to the largest one; a subclass applies the effect.

    Args:
        name: of the setting, for an error.
        largest: the largest strength, from 0 to `limit`; InputError otherwise.
        limit: the largest strength that has a meaning.
    """

    def __init__(self, name: str, largest: float, *, limit: float = float("inf")) -> None:
        super().__init__()
        check_setting(name, largest, 0.0, limit)
        self.largest = largest

    def forward(self, batch: EventBatch, generator: torch.Generator) -> EventBatch:
        draw = torch.rand(batch.num_events, generator=generator, device=batch.energy.device)
        return self.affect(batch, self.largest * draw, generator)

    def affect(self, batch: EventBatch, strength: Float[Tensor, " event"], generator: torch.Generator) -> EventBatch:
        """Apply the effect, with its strength in each event."""
        raise NotImplementedError


def check_setting(name: str, value: float, least: float, most: float = float("inf")) -> None:
    """Refuse a setting of an augmentation that is not from `least` to `most`."""
    if not least <= value <= most or value == float("inf"):
        allowed = f"{least:g} or more" if most == float("inf") else f"from {least:g} to {most:g}"
        raise InputError(f"augmentation.{name}={value}: {allowed} is expected")
