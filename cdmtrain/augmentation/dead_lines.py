"""Rows and columns that are not read out."""

import torch
from jaxtyping import Float
from torch import Tensor

from cdmtrain.augmentation.effect import DetectorEffect
from cdmtrain.augmentation.lines import draw_lines, on_lines
from cdmtrain.batch import EventBatch


class DeadLines(DetectorEffect):
    """Remove whole rows and columns, each with a probability that each event draws uniformly from 0 to the largest one.

    Args:
        largest_probability: of a row or a column, from 0 to 1; InputError otherwise.
    """

    def __init__(self, *, largest_probability: float) -> None:
        super().__init__("dead_lines.largest_probability", largest_probability, limit=1.0)

    def affect(self, batch: EventBatch, strength: Float[Tensor, " event"], generator: torch.Generator) -> EventBatch:
        return without_lines(batch, strength, generator)


def without_lines(batch: EventBatch, probability: Float[Tensor, " event"], generator: torch.Generator) -> EventBatch:
    """Remove each row and each column with the probability of its event: a hit stays with (1 - p)^2."""
    return batch.mask_hits(~on_lines(batch, draw_lines(batch, probability, generator)))
