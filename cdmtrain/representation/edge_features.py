"""What a network is told of each edge: columns that stand side by side, in the order chosen. Target less source."""

from collections.abc import Mapping
from typing import ClassVar, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from cdmtrain.batch import Hits


@runtime_checkable
class EdgeFeature(Protocol):
    """One or several columns; `num_columns` is known without an event, so that a model can be built from it."""

    num_columns: ClassVar[int]

    def __call__(self, hits: Hits, edge_index: Int[Tensor, "2 edge"]) -> Float[Tensor, "edge column"]: ...


class Offset:
    """Rows and columns from source to target, in pixels."""

    num_columns: ClassVar[int] = 2

    def __call__(self, hits: Hits, edge_index: Int[Tensor, "2 edge"]) -> Float[Tensor, "edge 2"]:
        source, target = torch.stack([hits.row, hits.column], dim=1)[edge_index]
        return (target - source).to(hits.energy.dtype)


class Distance:
    """Distance of source and target, in pixels."""

    num_columns: ClassVar[int] = 1

    def __call__(self, hits: Hits, edge_index: Int[Tensor, "2 edge"]) -> Float[Tensor, "edge 1"]:
        return Offset()(hits, edge_index).square().sum(1, keepdim=True).sqrt()


class EnergyDifference:
    """Energy of the target less that of the source, on the representation's scale."""

    num_columns: ClassVar[int] = 1

    def __call__(self, hits: Hits, edge_index: Int[Tensor, "2 edge"]) -> Float[Tensor, "edge 1"]:
        source, target = hits.energy[edge_index]
        return (target - source).unsqueeze(1)


def edge_features(
    features: Mapping[str, EdgeFeature], hits: Hits, edge_index: Int[Tensor, "2 edge"]
) -> Float[Tensor, "edge feature"]:
    """All columns of the features, side by side; none where no feature is chosen."""
    columns = [feature(hits, edge_index) for feature in features.values()]
    return torch.cat([hits.energy.new_zeros(edge_index.shape[1], 0), *columns], dim=1)
