"""A threshold that is higher than in the simulation."""

import torch
from jaxtyping import Float
from torch import Tensor

from cdmtrain.augmentation.effect import DetectorEffect
from cdmtrain.batch import EventBatch


class Threshold(DetectorEffect):
    """Drop the pixels below a threshold that each event draws uniformly from 0 to the largest one.

    Args:
        largest_mev: the largest threshold, MeV; InputError below 0.
    """

    def __init__(self, *, largest_mev: float) -> None:
        super().__init__("threshold.largest_mev", largest_mev)

    def affect(self, batch: EventBatch, strength: Float[Tensor, " event"], generator: torch.Generator) -> EventBatch:
        return above_threshold(batch, strength)


def above_threshold(batch: EventBatch, threshold_mev: Float[Tensor, " event"]) -> EventBatch:
    """Drop the pixels below the threshold of their event; an event may lose all of its hits."""
    return batch.mask_hits(batch.energy >= threshold_mev[batch.event])
