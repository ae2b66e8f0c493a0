"""In which order a sequence gives the hits of an event: a permutation of a batch's hits that keeps events in order."""

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from cdmtrain.batch import EventBatch

Order = Callable[[EventBatch], Int[Tensor, " hit"]]


class RasterOrder:
    """Row by row, as the pixels are numbered."""

    def __call__(self, batch: EventBatch) -> Int[Tensor, " hit"]:
        return torch.arange(len(batch.pixel), device=batch.pixel.device)


class EnergyOrder:
    """The largest energy first; of equal ones the smaller pixel number."""

    def __call__(self, batch: EventBatch) -> Int[Tensor, " hit"]:
        return _sorted(batch, -batch.energy)


class PrincipalAxisOrder:
    """Along the direction in which the deposited energy is spread most; of equally far hits the smaller pixel number.

    With x the column and y the row of a hit, weighted with its energy in MeV, and C their covariance, the axis is at
    the angle atan2(2 C_xy, C_xx - C_yy) / 2 from the columns' (Pearson, Phil. Mag. 2 (1901) 559). Its sign is a
    convention: towards larger columns, along a column towards larger rows. Where energy is spread alike in all
    directions, columns it is.
    """

    def __call__(self, batch: EventBatch) -> Int[Tensor, " hit"]:
        x, y = self._centred(batch, batch.column), self._centred(batch, batch.row)
        xx, yy, xy = (self._sum(batch, one * other) for one, other in ((x, x), (y, y), (x, y)))
        angle = torch.atan2(2 * xy + 0.0, xx - yy)[batch.event] / 2  # + 0.0: atan2 tells -0 from 0
        return _sorted(batch, x * angle.cos() + y * angle.sin())

    def _centred(self, batch: EventBatch, place: Int[Tensor, " hit"]) -> Float[Tensor, " hit"]:
        """Distance from the event's centre of energy, in pixels."""
        energy = self._sum(batch, torch.ones_like(batch.energy))
        return place - (self._sum(batch, place.to(energy.dtype)) / energy)[batch.event]

    def _sum(self, batch: EventBatch, value: Float[Tensor, " hit"]) -> Float[Tensor, " event"]:
        """Sum over the hits of each event, weighted with their energy."""
        return value.new_zeros(batch.num_events).index_add_(0, batch.event, value * batch.energy)


def _sorted(batch: EventBatch, value: Float[Tensor, " hit"]) -> Int[Tensor, " hit"]:
    """By event, then by value, then as before."""
    order = torch.argsort(value, stable=True)
    return order[torch.argsort(batch.event[order], stable=True)]
