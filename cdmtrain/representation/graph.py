"""Lit pixels as nodes, joined to their neighbours."""

from collections.abc import Mapping
from dataclasses import replace

from torch import nn

from cdmtrain.batch import EventBatch, Graph
from cdmtrain.representation.edge_features import EdgeFeature, edge_features
from cdmtrain.representation.event_features import EventFeature, event_features
from cdmtrain.representation.features import ENERGY, HitFeature, hit_features
from cdmtrain.representation.neighbours import FourNeighbours, Neighbours
from cdmtrain.representation.scale import LINEAR, Scale


class GraphRepresentation(nn.Module):
    """Pixels above a threshold as nodes. An event without a node still counts in `num_events`.

    Args:
        threshold_mev: in MeV under every scale; a pixel of exactly this energy is not a node.
        scale: of the energies in the features.
        features: of the nodes, side by side; F columns together.
        neighbours: finds the edges.
        edge_features: of the edges, side by side; H columns together, perhaps none.
        event_features: of the events, appended to those of their nodes; G columns together, perhaps none.

    Shapes: EventBatch -> Graph with feature (N, F + G), edge_index (2, E), edge_feature (E, H), event (N,).
    """

    def __init__(
        self,
        *,
        threshold_mev: float,
        scale: Scale = LINEAR,
        features: Mapping[str, HitFeature] = ENERGY,
        neighbours: Neighbours = FourNeighbours(),  # noqa: B008  it has no state
        edge_features: Mapping[str, EdgeFeature] | None = None,
        event_features: Mapping[str, EventFeature] | None = None,
    ) -> None:
        super().__init__()
        self.threshold_mev = threshold_mev
        self.scale = scale
        self.features = features
        self.neighbours = neighbours
        self.edge_features = edge_features or {}
        self.event_features = event_features or {}

    def forward(self, batch: EventBatch) -> Graph:
        nodes = batch.mask_hits(batch.energy > self.threshold_mev)
        nodes = replace(nodes, energy=self.scale(nodes.energy))
        edge_index = self.neighbours(nodes)
        return Graph(
            feature=hit_features(self.features, nodes, event_features(self.event_features, batch)),
            edge_index=edge_index,
            edge_feature=edge_features(self.edge_features, nodes, edge_index),
            event=nodes.event,
            num_events=nodes.num_events,
        )
