"""The order in which a sequence lists the hits of an event: a permutation of the batch that keeps events in order."""

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from cdmtrain.batch import EventBatch
from cdmtrain.representation.principal_axis import covariance

Order = Callable[[EventBatch], Int[Tensor, " hit"]]


class RasterOrder:
    """Row by row, as the pixels are numbered."""

    def __call__(self, batch: EventBatch) -> Int[Tensor, " hit"]:
        return torch.arange(len(batch.pixel), device=batch.pixel.device)


class EnergyOrder:
    """Largest energy first; ties go to the smaller pixel number."""

    def __call__(self, batch: EventBatch) -> Int[Tensor, " hit"]:
        return _sorted(batch, -batch.energy)


class PrincipalAxisOrder:
    """Along the axis in which the deposited energy is spread most; ties go to the smaller pixel number.

    The axis and its sign are those of `Covariance.angle`, with each hit weighted by its energy in MeV.
    """

    def __call__(self, batch: EventBatch) -> Int[Tensor, " hit"]:
        moments = covariance(batch, batch.energy.unsqueeze(1))
        angle = moments.angle()[batch.event, 0]
        row, column = moments.centred[:, 0].unbind(dim=1)
        return _sorted(batch, column * angle.cos() + row * angle.sin())


def _sorted(batch: EventBatch, value: Float[Tensor, " hit"]) -> Int[Tensor, " hit"]:
    """Sort by event, then by value, then by pixel number."""
    order = torch.argsort(value, stable=True)
    return order[torch.argsort(batch.event[order], stable=True)]
