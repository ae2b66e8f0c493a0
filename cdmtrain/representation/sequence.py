"""The hits of each event one after another, in an order: padded to the longest event of the batch."""

from collections.abc import Mapping

import torch
from torch import nn

from cdmtrain.batch import EventBatch, Hits, Sequence
from cdmtrain.representation.features import ENERGY_AND_POSITION, HitFeature, hit_features
from cdmtrain.representation.order import Order, RasterOrder
from cdmtrain.representation.scale import LINEAR, Scale


class SequenceRepresentation(nn.Module):
    """Each event as the sequence of its hits. An event without a lit pixel is a sequence of padding.

    Args:
        scale: of the energies in the features.
        features: of the hits, side by side; F columns together.
        order: of the hits of an event.

    Shapes: EventBatch of B events, the longest of L >= 1 hits -> Sequence with feature (B, L, F), mask (B, L).
    """

    def __init__(
        self,
        *,
        scale: Scale = LINEAR,
        features: Mapping[str, HitFeature] = ENERGY_AND_POSITION,
        order: Order = RasterOrder(),  # noqa: B008  it has no state
    ) -> None:
        super().__init__()
        self.scale = scale
        self.features = features
        self.order = order

    def forward(self, batch: EventBatch) -> Sequence:
        hits = ordered_hits(batch, self.order, self.scale)
        num_hits, event = hits.num_hits, hits.event
        length = max(int(num_hits.max()), 1)
        place = torch.arange(len(event), device=event.device) - batch.offset[event]
        hit = hit_features(self.features, hits)
        feature = hit.new_zeros(batch.num_events, length, hit.shape[1])
        feature[event, place] = hit
        mask = torch.arange(length, device=event.device) < num_hits.unsqueeze(1)
        return Sequence(feature=feature, mask=mask)


def ordered_hits(batch: EventBatch, order: Order, scale: Scale) -> Hits:
    """The hits of a batch in this order, with scaled energies."""
    which = order(batch)
    energy = scale(batch.energy[which])
    return Hits(pixel=batch.pixel[which], energy=energy, offset=batch.offset, image_size=batch.image_size)
