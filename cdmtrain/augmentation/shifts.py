"""Shifts of whole events, computed on pixel coordinates."""

from dataclasses import replace

import torch
from torch import nn

from cdmtrain.batch import EventBatch
from cdmtrain.errors import InputError


class Shifts(nn.Module):
    """Move each event by whole rows and columns, each drawn uniformly from -max_pixels to max_pixels.

    Hits that leave the image are dropped, because an image is cut out of a larger detector; an event may lose all of
    its hits.

    Args:
        max_pixels: largest shift in pixels; InputError below 0.
    """

    def __init__(self, *, max_pixels: int) -> None:
        super().__init__()
        if max_pixels < 0:
            raise InputError(f"augmentation.shifts.max_pixels={max_pixels}: 0 or more pixels are expected")
        self.max_pixels = max_pixels

    def forward(self, batch: EventBatch, generator: torch.Generator) -> EventBatch:
        shape, largest = (2, batch.num_events), self.max_pixels
        drawn = torch.randint(-largest, largest + 1, shape, generator=generator, device=batch.pixel.device)
        return shifted(batch, rows=drawn[0], columns=drawn[1])


def shifted(batch: EventBatch, rows: torch.Tensor, columns: torch.Tensor) -> EventBatch:
    """Move each event by its own number of rows and columns (B,). The order of its hits does not change."""
    size = batch.image_size
    row, column = batch.row + rows[batch.event], batch.column + columns[batch.event]
    inside = (row >= 0) & (row < size) & (column >= 0) & (column < size)
    return replace(batch, pixel=row * size + column).mask_hits(inside)
