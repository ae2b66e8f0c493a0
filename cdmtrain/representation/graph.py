"""Lit pixels as nodes, joined to their neighbours."""

from collections.abc import Mapping

import torch
from torch import nn

from cdmtrain.batch import EventBatch, Graph, Hits
from cdmtrain.representation.edge_features import EdgeFeature, edge_features
from cdmtrain.representation.features import ENERGY, HitFeature, hit_features
from cdmtrain.representation.neighbours import FourNeighbours, Neighbours
from cdmtrain.representation.scale import LINEAR, Scale


class GraphRepresentation(nn.Module):
    """Pixels above a threshold as nodes. An event without one has no node and is still counted in `num_events`.

    Args:
        threshold_mev: in MeV under every scale; pixels at it are no nodes.
        scale: of the energies in the features.
        features: of the nodes, side by side; F columns together.
        neighbours: finds the edges.
        edge_features: of the edges, side by side; G columns together, perhaps none.

    Shapes: EventBatch -> Graph with feature (N, F), edge_index (2, E), edge_feature (E, G), event (N,).
    """

    def __init__(
        self,
        *,
        threshold_mev: float,
        scale: Scale = LINEAR,
        features: Mapping[str, HitFeature] = ENERGY,
        neighbours: Neighbours = FourNeighbours(),  # noqa: B008  it has no state
        edge_features: Mapping[str, EdgeFeature] | None = None,
    ) -> None:
        super().__init__()
        self.threshold_mev = threshold_mev
        self.scale = scale
        self.features = features
        self.neighbours = neighbours
        self.edge_features = edge_features or {}

    def forward(self, batch: EventBatch) -> Graph:
        hits = self._bright(batch)
        edge_index = self.neighbours(hits)
        return Graph(
            feature=hit_features(self.features, hits),
            edge_index=edge_index,
            edge_feature=edge_features(self.edge_features, hits, edge_index),
            event=hits.event,
            num_events=batch.num_events,
        )

    def _bright(self, batch: EventBatch) -> Hits:
        bright = (batch.energy > self.threshold_mev).nonzero().squeeze(1)
        return Hits(
            pixel=batch.pixel.index_select(0, bright),
            energy=self.scale(batch.energy.index_select(0, bright)),
            offset=torch.searchsorted(bright, batch.offset),
            image_size=batch.image_size,
        )
