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
    """Weighted second moments of the pixels of each event about its weighted mean position."""

    centred: Float[Tensor, "hit 2"]  # row and column from the mean position of the event, in pixels
    sums: Float[Tensor, "event 3"]  # weighted sums of y y, x x and y x, in weight px^2
    total: Float[Tensor, "event 1"]  # sum of the weights, above 0 even without a hit

    def angle(self) -> Float[Tensor, " event"]:
        """Angle of the axis from the direction of the columns, atan2(2 C_xy, C_xx - C_yy) / 2, in (-pi/2, pi/2].

        Its sign is a convention: the axis points to larger columns, or, along a column, to larger rows. An event that
        is spread alike in all directions has angle 0.
        """
        yy, xx, yx = self.sums.unbind(dim=1)
        return torch.atan2(2 * yx, xx - yy) / 2

    def spread(self) -> Float[Tensor, "event 2"]:
        """Standard deviation along and across the axis in pixels: the square roots of the eigenvalues of C."""
        yy, xx, yx = (self.sums / self.total).unbind(dim=1)
        centre, radius = (yy + xx) / 2, torch.hypot((yy - xx) / 2, yx)
        return torch.stack([centre + radius, centre - radius], dim=1).clamp(min=0).sqrt()


def covariance(hits: LitPixels, weight: Float[Tensor, " hit"]) -> Covariance:
    """The covariance of the positions of each event's pixels."""
    weight = weight.unsqueeze(1)
    position = torch.stack([hits.row, hits.column], dim=1).to(weight.dtype)
    total = hits.reduce(weight, "sum").clamp(min=torch.finfo(weight.dtype).tiny)
    mean = hits.reduce(weight * position, "sum") / total
    centred = position - mean.index_select(0, hits.event)
    products = torch.cat([centred * centred, centred[:, :1] * centred[:, 1:]], dim=1)
    return Covariance(centred, hits.reduce(weight * products, "sum"), total)
