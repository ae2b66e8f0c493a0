"""The hits of each event one after another, padded to the longest event of the batch."""

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import nn

from cdmtrain.batch import EventBatch, Sequence
from cdmtrain.representation.event_features import EventFeature, event_features
from cdmtrain.representation.features import ENERGY_AND_POSITION, HitFeature, hit_features
from cdmtrain.representation.order import Order, RasterOrder
from cdmtrain.representation.scale import LINEAR, Scale


class SequenceRepresentation(nn.Module):
    """Each event as the sequence of its hits. An event without a lit pixel is a sequence of padding.

    Args:
        scale: of the energies in the features.
        features: of the hits, side by side; F columns together.
        order: of the hits of an event.
        event_features: of the events, appended to those of their hits; G columns together, perhaps none.

    Shapes: EventBatch of B events, the longest of L >= 1 hits -> Sequence with feature (B, L, F + G), mask (B, L).
    """

    def __init__(
        self,
        *,
        scale: Scale = LINEAR,
        features: Mapping[str, HitFeature] = ENERGY_AND_POSITION,
        order: Order = RasterOrder(),  # noqa: B008  it has no state
        event_features: Mapping[str, EventFeature] | None = None,
    ) -> None:
        super().__init__()
        self.scale = scale
        self.features = features
        self.order = order
        self.event_features = event_features or {}

    def forward(self, batch: EventBatch) -> Sequence:
        hits = ordered_hits(batch, self.order, self.scale)
        num_hits, event = hits.num_hits, hits.event
        length = max(int(num_hits.max()), 1)
        rank = torch.arange(len(event), device=event.device) - batch.offset[event]
        hit = hit_features(self.features, hits, event_features(self.event_features, batch))
        feature = hit.new_zeros(batch.num_events, length, hit.shape[1])
        feature[event, rank] = hit
        mask = torch.arange(length, device=event.device) < num_hits.unsqueeze(1)
        return Sequence(feature=feature, mask=mask)


def ordered_hits(batch: EventBatch, order: Order, scale: Scale) -> EventBatch:
    """The hits of a batch in this order, with scaled energies."""
    index = order(batch)
    return replace(batch, pixel=batch.pixel[index], energy=scale(batch.energy[index]))
