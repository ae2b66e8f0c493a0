"""The eight symmetries of the square, computed on pixel coordinates."""

from dataclasses import replace

import torch
from torch import nn

from cdmtrain.batch import EventBatch


class Symmetries(nn.Module):
    """Rotate and mirror each event by one of the eight symmetries of the square, drawn with equal probability.

    The number of hits and their energies do not change; the pixels of each event are sorted again.
    """

    def forward(self, batch: EventBatch, generator: torch.Generator) -> EventBatch:
        drawn = torch.randint(0, 8, (batch.num_events,), generator=generator, device=batch.pixel.device)
        return transformed(batch, drawn)


def transformed(batch: EventBatch, symmetry: torch.Tensor) -> EventBatch:
    """Apply symmetry 0..7 to each event: bit 0 mirrors columns, bit 1 mirrors rows, bit 2 swaps rows and columns."""
    size, event = batch.image_size, batch.event
    bits = symmetry[event]
    row, column = batch.pixel // size, batch.pixel % size
    column = torch.where(bits & 1 > 0, size - 1 - column, column)
    row = torch.where(bits & 2 > 0, size - 1 - row, row)
    swap = bits & 4 > 0
    pixel = torch.where(swap, column * size + row, row * size + column)
    order = torch.argsort(event * size**2 + pixel)
    return replace(batch, pixel=pixel[order], energy=batch.energy[order])
