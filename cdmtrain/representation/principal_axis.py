"""The principal axis of each event: the direction in which its weighted pixels are spread most.

With C the covariance of the pixels' rows y and columns x, weighted for example by deposited energy, the axis is the
eigenvector of C with the larger eigenvalue (Pearson, Phil. Mag. 2 (1901) 559).
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from cdmtrain.batch import LitPixels


class Covariance(NamedTuple):
    """Second moments of the pixels of each event about their mean position, for each way to weight the pixels."""

    centred: Float[Tensor, "hit weighting 2"]  # row and column from the mean position of the event, in pixels
    sums: Float[Tensor, "event weighting 3"]  # weighted sums of y y, x x and y x, in weight px^2
    total: Float[Tensor, "event weighting"]  # sum of the weights, above 0 even without a hit

    def angle(self) -> Float[Tensor, "event weighting"]:
        """Angle of the axis from the direction of the columns, atan2(2 C_xy, C_xx - C_yy) / 2, in (-pi/2, pi/2].

        Its sign is a convention: the axis points to larger columns, or, along a column, to larger rows. An event that
        is spread alike in all directions has angle 0.
        """
        yy, xx, yx = self.sums.unbind(dim=2)
        return torch.atan2(2 * yx, xx - yy) / 2

    def spread(self) -> Float[Tensor, "event weighting 2"]:
        """Standard deviation along and across the axis in pixels: the square roots of the eigenvalues of C."""
        yy, xx, yx = (self.sums / self.total.unsqueeze(2)).unbind(dim=2)
        centre, half = (yy + xx) / 2, (yy - xx) / 2
        is_round = (half == 0) & (yx == 0)  # where hypot has no derivative
        radius = torch.hypot(half.masked_fill(is_round, 1), yx).masked_fill(is_round, 0)
        square = torch.stack([centre + radius, centre - radius], dim=2)
        is_flat = square <= 0  # where the square root has none
        return square.masked_fill(is_flat, 1).sqrt().masked_fill(is_flat, 0)


def covariance(hits: LitPixels, weight: Float[Tensor, "hit weighting"]) -> Covariance:
    """The covariance of the positions of each event's pixels, for each column of weights."""
    position = torch.stack([hits.row, hits.column], dim=1).to(weight.dtype).unsqueeze(1)
    weighted = weight.unsqueeze(2)
    total = hits.reduce(weight, "sum").clamp(min=torch.finfo(weight.dtype).tiny)
    mean = hits.reduce((weighted * position).flatten(1), "sum").unflatten(1, (-1, 2)) / total.unsqueeze(2)
    centred = position - mean.index_select(0, hits.event)
    products = torch.cat([centred * centred, centred[..., :1] * centred[..., 1:]], dim=2)
    return Covariance(centred, hits.reduce((weighted * products).flatten(1), "sum").unflatten(1, (-1, 3)), total)
