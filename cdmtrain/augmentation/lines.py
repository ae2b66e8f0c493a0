"""Rows and columns of pixels, chosen at random: the wires or strips of a readout."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from cdmtrain.batch import EventBatch

Lines = Bool[Tensor, "event 2 line"]


def draw_lines(batch: EventBatch, probability: Float[Tensor, " event"], generator: torch.Generator) -> Lines:
    """Choose each row [:, 0] and each column [:, 1] of an event with the probability of the event."""
    shape = batch.num_events, 2, batch.image_size
    draw = torch.rand(shape, generator=generator, device=batch.energy.device)
    return draw < probability.view(-1, 1, 1)


def on_lines(batch: EventBatch, lines: Lines) -> Bool[Tensor, " hit"]:
    """Return which hits are in a chosen row or column of their event."""
    return lines[batch.event, 0, batch.row] | lines[batch.event, 1, batch.column]
