"""Features of each event as a whole: columns side by side, in the order chosen, each as ln(1 + value).

They are appended to the features of the event's hits, nodes or sequence elements, and computed from all lit pixels with
their energies in MeV: neither the scale nor the threshold of a representation changes them. They tell a network what a
mean over pixels forgets: how many there were, how far they reach, and whether a border was touched.
"""

from collections.abc import Mapping
from typing import ClassVar, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from cdmtrain.batch import EventBatch
from cdmtrain.representation.principal_axis import covariance


@runtime_checkable
class EventFeature(Protocol):
    """One or several columns; `num_columns` is known without an event, so that a model can be built from it."""

    num_columns: ClassVar[int]

    def __call__(self, batch: EventBatch) -> Float[Tensor, "event column"]:
        """Compute the columns. The energies are in MeV."""
        ...


class NumHits:
    """ln(1 + n), n the number of lit pixels. Invariant under shifts and the symmetries of the square."""

    num_columns: ClassVar[int] = 1

    def __call__(self, batch: EventBatch) -> Float[Tensor, "event 1"]:
        return batch.num_hits.unsqueeze(1).to(batch.energy.dtype).log1p()


class Energy:
    """ln(1 + value) of the sum (MeV), the sum of squares (MeV^2) and the maximum (MeV) of the hits' energies.

    Invariant under shifts and the symmetries of the square. Zeros without a hit.
    """

    num_columns: ClassVar[int] = 3

    def __call__(self, batch: EventBatch) -> Float[Tensor, "event 3"]:
        energy = batch.energy.unsqueeze(1)
        sums = batch.reduce(torch.cat([energy, energy * energy], dim=1), "sum")
        return torch.cat([sums, batch.reduce(energy, "max")], dim=1).log1p()


class Extent:
    """ln(1 + s), s the standard deviation of the hits' positions in pixels, along and across the principal axis.

    Four columns: along and across with each hit weighted by its energy, then with all hits weighted alike. They are the
    square roots of the eigenvalues of the positions' covariance. Invariant under shifts and the symmetries of the
    square. Zeros without a hit and with a single one.
    """

    num_columns: ClassVar[int] = 4

    def __call__(self, batch: EventBatch) -> Float[Tensor, "event 4"]:
        weights = torch.stack([batch.energy, torch.ones_like(batch.energy)], dim=1)
        return covariance(batch, weights).spread().flatten(1).log1p()


class BorderDistance:
    """ln(1 + d), d the smallest distance from the event's hits to a border of the image in pixels.

    Four columns: to the nearer of the top and bottom borders, to the nearer of the left and right ones, then to the
    farther of each. 0 if the event touches that border. Invariant under mirroring; a transposition exchanges rows and
    columns. Without a hit d is S - 1 for an image of S x S pixels.
    """

    num_columns: ClassVar[int] = 4

    def __call__(self, batch: EventBatch) -> Float[Tensor, "event 4"]:
        last = batch.image_size - 1
        position = torch.stack([batch.row, batch.column], dim=1).to(batch.energy.dtype)
        gap = last - batch.reduce(torch.cat([position, last - position], dim=1), "max")
        nearer, farther = gap.view(-1, 2, 2).aminmax(dim=1)
        return torch.cat([nearer, farther], dim=1).log1p()


def event_features(features: Mapping[str, EventFeature], batch: EventBatch) -> Float[Tensor, "event feature"]:
    """All columns of the features side by side; no column if no feature is chosen."""
    columns = [feature(batch) for feature in features.values()]
    return torch.cat(columns, dim=1) if columns else batch.energy.new_zeros(batch.num_events, 0)
