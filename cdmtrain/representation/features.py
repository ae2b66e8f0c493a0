"""Features of each hit: columns side by side, in the order chosen, then the features of the hit's event."""

from collections.abc import Mapping
from typing import ClassVar, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from cdmtrain.batch import EventBatch


@runtime_checkable
class HitFeature(Protocol):
    """One or several columns; `num_columns` is known without an event, so that a model can be built from it."""

    num_columns: ClassVar[int]

    def __call__(self, hits: EventBatch) -> Float[Tensor, "hit column"]:
        """Compute the columns. The energies are on the representation's scale."""
        ...


class Energy:
    """Energy of the hit, on the representation's scale."""

    num_columns: ClassVar[int] = 1

    def __call__(self, hits: EventBatch) -> Float[Tensor, "hit 1"]:
        return hits.energy.unsqueeze(1)


class Position:
    """Row and column of the hit, each from 0 to 1 over the image."""

    num_columns: ClassVar[int] = 2

    def __call__(self, hits: EventBatch) -> Float[Tensor, "hit 2"]:
        last = max(hits.image_size - 1, 1)
        return (torch.stack([hits.row, hits.column], dim=1) / last).to(hits.energy.dtype)


class BorderDistance:
    """ln(1 + d), d the distance from the hit to the nearer border of the image in pixels: in rows, in columns.

    A border pixel has d = 0. The simulated box begins at the vertex, so it matters where an image ends.
    """

    num_columns: ClassVar[int] = 2

    def __call__(self, hits: EventBatch) -> Float[Tensor, "hit 2"]:
        position = torch.stack([hits.row, hits.column], dim=1)
        return torch.minimum(position, hits.image_size - 1 - position).to(hits.energy.dtype).log1p()


ENERGY: Mapping[str, HitFeature] = {"energy": Energy()}
ENERGY_AND_POSITION: Mapping[str, HitFeature] = {"energy": Energy(), "position": Position()}


def hit_features(
    features: Mapping[str, HitFeature], hits: EventBatch, event_feature: Float[Tensor, "event event_feature"]
) -> Float[Tensor, "hit feature"]:
    """All columns of the features side by side, followed by those of the event that each hit belongs to."""
    columns = [feature(hits) for feature in features.values()]
    if event_feature.shape[1] > 0:
        columns.append(event_feature.index_select(0, hits.event))
    return torch.cat(columns, dim=1) if columns else hits.energy.new_zeros(hits.energy.shape[0], 0)
