"""Lit pixels as nodes, joined to their 4-neighbours, by one search in the sorted pixel keys of the batch."""

import torch
from jaxtyping import Bool, Int
from torch import Tensor, nn

from cdmtrain.batch import EventBatch, Graph
from cdmtrain.representation.scale import LINEAR, Scale


class GraphRepresentation(nn.Module):
    """Pixels above a threshold as nodes with their energy as the only feature: MeV, or what `scale` makes of it.

    The threshold is in MeV under every scale. Edges join pixels that share a side, in both directions,
    without self-loops. An event without a pixel above the threshold has no node and is still counted in `num_events`.

    Shapes: EventBatch -> Graph with feature (N, 1), edge_index (2, E), event (N,).
    """

    def __init__(self, *, threshold_mev: float, scale: Scale = LINEAR) -> None:
        super().__init__()
        self.threshold_mev = threshold_mev
        self.scale = scale

    def forward(self, batch: EventBatch) -> Graph:
        bright = batch.energy > self.threshold_mev
        pixel, event = batch.pixel[bright], batch.event[bright]
        feature = self.scale(batch.energy[bright]).unsqueeze(1)
        edge_index = _four_neighbours(pixel, event, batch.image_size)
        return Graph(
            feature=feature,
            edge_index=edge_index,
            edge_feature=feature.new_zeros(edge_index.shape[1], 0),
            event=event,
            num_events=batch.num_events,
        )


def _four_neighbours(pixel: Int[Tensor, " node"], event: Int[Tensor, " node"], size: int) -> Int[Tensor, "2 edge"]:
    key = event * size**2 + pixel  # ascending: events are in order, pixels ascend within an event
    right = _joined(key, key + 1, pixel % size < size - 1)
    down = _joined(key, key + size, pixel < size * (size - 1))
    forth = torch.cat([right, down], dim=1)
    return torch.cat([forth, forth.flip(0)], dim=1)


def _joined(
    key: Int[Tensor, " node"], wanted: Int[Tensor, " node"], inside: Bool[Tensor, " node"]
) -> Int[Tensor, "2 edge"]:
    place = torch.searchsorted(key, wanted).clamp(max=max(len(key) - 1, 0))
    source = (inside & (key[place] == wanted)).nonzero().squeeze(1)
    return torch.stack([source, place[source]])
