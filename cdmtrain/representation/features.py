"""What a network is told of each lit pixel: columns that stand side by side, in the order chosen."""

from collections.abc import Mapping
from typing import ClassVar, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from cdmtrain.batch import Hits


@runtime_checkable
class HitFeature(Protocol):
    """One or several columns; `num_columns` is known without an event, so that a model can be built from it."""

    num_columns: ClassVar[int]

    def __call__(self, hits: Hits) -> Float[Tensor, "hit column"]: ...


class Energy:
    """Energy of the hit, on the representation's scale."""

    num_columns: ClassVar[int] = 1

    def __call__(self, hits: Hits) -> Float[Tensor, "hit 1"]:
        return hits.energy.unsqueeze(1)


class Position:
    """Row and column of the hit, each from 0 to 1 over the image."""

    num_columns: ClassVar[int] = 2

    def __call__(self, hits: Hits) -> Float[Tensor, "hit 2"]:
        last = max(hits.image_size - 1, 1)
        return (torch.stack([hits.row, hits.column], dim=1) / last).to(hits.energy.dtype)


ENERGY: Mapping[str, HitFeature] = {"energy": Energy()}
ENERGY_AND_POSITION: Mapping[str, HitFeature] = {"energy": Energy(), "position": Position()}


def hit_features(features: Mapping[str, HitFeature], hits: Hits) -> Float[Tensor, "hit feature"]:
    """All columns of the features, side by side."""
    return torch.cat([feature(hits) for feature in features.values()], dim=1)
