"""Lit pixels in raster order, padded to the longest event of the batch."""

import torch
from torch import nn

from cdmtrain.batch import EventBatch, Sequence
from cdmtrain.representation.scale import LINEAR, Scale


class SequenceRepresentation(nn.Module):
    """Each event as the sequence of its hits, row by row, with (energy, row, column) as features.

    The energy is in MeV, or what `scale` makes of it. Row and column run from 0 to 1 over the image. An event without a
    lit pixel is a sequence of padding.

    Shapes: EventBatch of B events, the longest of L >= 1 hits -> Sequence with feature (B, L, 3), mask (B, L).
    """

    def __init__(self, *, scale: Scale = LINEAR) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, batch: EventBatch) -> Sequence:
        size = batch.image_size
        event = batch.event
        place = torch.arange(len(event), device=event.device) - batch.offset[event]
        length = max(int(batch.num_hits.max()), 1)
        row, column = batch.pixel // size, batch.pixel % size
        last = max(size - 1, 1)
        hit = torch.stack([self.scale(batch.energy), row / last, column / last], dim=1)
        feature = hit.new_zeros(batch.num_events, length, hit.shape[1])
        feature[event, place] = hit
        mask = torch.arange(length, device=event.device) < batch.num_hits.unsqueeze(1)
        return Sequence(feature=feature, mask=mask)
