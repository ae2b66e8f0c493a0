"""Whole events moved over the image, on pixel coordinates."""

from dataclasses import replace

import torch
from torch import nn

from cdmtrain.augmentation.kept import kept
from cdmtrain.batch import EventBatch
from cdmtrain.errors import InputError


class Shifts(nn.Module):
    """Moves each event by whole rows and columns, each drawn evenly from -max_pixels to max_pixels.

    Hits that would leave the image are dropped, as an image is cut out of a larger detector; an event may lose all.

    Args:
        max_pixels: the farthest move; InputError below 0.
    """

    def __init__(self, *, max_pixels: int) -> None:
        super().__init__()
        if max_pixels < 0:
            raise InputError(f"augmentation.shifts.max_pixels={max_pixels}: 0 or more pixels are expected")
        self.max_pixels = max_pixels

    def forward(self, batch: EventBatch, generator: torch.Generator) -> EventBatch:
        shape, farthest = (2, batch.num_events), self.max_pixels
        moves = torch.randint(-farthest, farthest + 1, shape, generator=generator, device=batch.pixel.device)
        return shifted(batch, moves[0], moves[1])


def shifted(batch: EventBatch, rows: torch.Tensor, columns: torch.Tensor) -> EventBatch:
    """Move each event by its own number of rows and columns (B,); raster order stays."""
    size = batch.image_size
    row, column = batch.row + rows[batch.event], batch.column + columns[batch.event]
    inside = (row >= 0) & (row < size) & (column >= 0) & (column < size)
    return kept(replace(batch, pixel=row * size + column), inside)
