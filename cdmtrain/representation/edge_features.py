"""Features of each edge: columns side by side, in the order chosen. Differences are target minus source."""

from collections.abc import Mapping
from typing import ClassVar, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from cdmtrain.batch import EventBatch


@runtime_checkable
class EdgeFeature(Protocol):
    """One or several columns; `num_columns` is known without an event, so that a model can be built from it."""

    num_columns: ClassVar[int]

    def __call__(self, hits: EventBatch, edge_index: Int[Tensor, "2 edge"]) -> Float[Tensor, "edge column"]:
        """Compute the columns. The energies are on the representation's scale."""
        ...


class Offset:
    """Row and column of the target minus those of the source, in pixels."""

    num_columns: ClassVar[int] = 2

    def __call__(self, hits: EventBatch, edge_index: Int[Tensor, "2 edge"]) -> Float[Tensor, "edge 2"]:
        source, target = torch.stack([hits.row, hits.column], dim=1)[edge_index]
        return (target - source).to(hits.energy.dtype)


class Distance:
    """Distance between source and target, in pixels."""

    num_columns: ClassVar[int] = 1

    def __call__(self, hits: EventBatch, edge_index: Int[Tensor, "2 edge"]) -> Float[Tensor, "edge 1"]:
        return Offset()(hits, edge_index).square().sum(1, keepdim=True).sqrt()


class EnergyDifference:
    """Energy of the target minus that of the source, on the representation's scale."""

    num_columns: ClassVar[int] = 1

    def __call__(self, hits: EventBatch, edge_index: Int[Tensor, "2 edge"]) -> Float[Tensor, "edge 1"]:
        source, target = hits.energy[edge_index]
        return (target - source).unsqueeze(1)


def edge_features(
    features: Mapping[str, EdgeFeature], hits: EventBatch, edge_index: Int[Tensor, "2 edge"]
) -> Float[Tensor, "edge feature"]:
    """All columns of the features side by side; no column if no feature is chosen."""
    columns = [feature(hits, edge_index) for feature in features.values()]
    return torch.cat([hits.energy.new_zeros(edge_index.shape[1], 0), *columns], dim=1)
