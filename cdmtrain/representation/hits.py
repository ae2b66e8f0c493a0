"""The lit pixels as they are."""

from collections.abc import Mapping
from dataclasses import replace

from torch import nn

from cdmtrain.batch import EventBatch, Hits
from cdmtrain.representation.event_features import EventFeature, event_features
from cdmtrain.representation.features import HitFeature, hit_features
from cdmtrain.representation.scale import LINEAR, Scale


class HitsRepresentation(nn.Module):
    """Pixel number, energy and features of every hit, for layers that take sparse input.

    Args:
        scale: of the energies, also in the features; MeV unless changed.
        features: of the hits, side by side; F columns together, perhaps none.
        event_features: of the events, side by side; G columns together, perhaps none.

    Shapes: EventBatch of N hits in B events -> Hits with pixel (N,), energy (N,), offset (B + 1,), feature (N, F + G),
    event_feature (B, G).
    """

    def __init__(
        self,
        *,
        scale: Scale = LINEAR,
        features: Mapping[str, HitFeature] | None = None,
        event_features: Mapping[str, EventFeature] | None = None,
    ) -> None:
        super().__init__()
        self.scale = scale
        self.features = features or {}
        self.event_features = event_features or {}

    def forward(self, batch: EventBatch) -> Hits:
        hits = replace(batch, energy=self.scale(batch.energy))
        event_feature = event_features(self.event_features, batch)
        return Hits(
            pixel=hits.pixel,
            energy=hits.energy,
            offset=hits.offset,
            image_size=hits.image_size,
            feature=hit_features(self.features, hits, event_feature),
            event_feature=event_feature,
        )
