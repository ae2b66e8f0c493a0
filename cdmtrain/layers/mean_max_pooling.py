"""Mean and maximum over the sites of each event."""

from typing import Any, no_type_check

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable

from cdmtrain.batch import reduce_events
from cdmtrain.compiled import jit
from cdmtrain.layers import one_pass


def mean_max_pooling(
    x: Float[Tensor, "site channel"],
    offset: Int[Tensor, " event_plus_1"],
    once: Float[Tensor, "site 1"] | None = None,
) -> Float[Tensor, "event pooled"]:
    """Mean of each channel over the sites of an event, then the maximum of each and zero; zeros without a site.

    Args:
        x: of the sites. A maximum below zero counts as zero, the value of a dark pixel.
        offset: sites of event i are offset[i] : offset[i + 1].
        once: 1 for the first of several equal rows and 0 for the others; None if each row is a site.

    Shapes: x (N, C) of the sites of B events -> (B, 2 C).
    """
    x = x.to(torch.promote_types(x.dtype, torch.float32))
    if once is None and one_pass.fits(x):
        pooled: Tensor = _MeanMax.apply(x, offset)
        return pooled
    if once is None:
        mean = reduce_events(x, offset, "mean")
    else:
        mean = reduce_events(x * once, offset, "sum") / reduce_events(once, offset, "sum").clamp(min=1)
    return torch.cat([mean, reduce_events(x, offset, "max")], dim=1)


class _MeanMax(torch.autograd.Function):
    """Both in one pass over the sites. Of several equal maxima the first has the gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, offset: Tensor) -> Tensor:
        pooled = x.new_zeros(len(offset) - 1, 2 * x.shape[1])
        ctx.offset, ctx.shape = offset.numpy(), x.shape
        ctx.largest = _pool(x.detach().contiguous().numpy(), ctx.offset, pooled.numpy())
        return pooled

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        of_x = gradient.new_empty(ctx.shape)
        _spread(gradient.contiguous().numpy(), ctx.offset, ctx.largest, of_x.numpy())
        return of_x, None


@jit
@no_type_check  # numba knows the types
def _pool(x, offset, pooled):
    """The site of the largest number above zero of each event and channel, or else -1."""
    channels = x.shape[1]
    sites = np.empty((len(pooled), channels), np.int32)
    total, largest, site = np.empty(channels, x.dtype), np.empty(channels, x.dtype), np.empty(channels, np.int32)
    for event in range(len(pooled)):
        total[:], largest[:], site[:] = 0, 0, -1
        for row in range(offset[event], offset[event + 1]):
            values, number = x[row], np.int32(row)
            for k in range(channels):
                total[k] += values[k]
                above = not values[k] <= largest[k]  # NaN stays
                site[k] = number if above else site[k]
                largest[k] = values[k] if above else largest[k]
        pooled[event, :channels] = total / max(offset[event + 1] - offset[event], 1)
        pooled[event, channels:], sites[event] = largest, site
    return sites


@jit
@no_type_check
def _spread(gradient, offset, sites, of_x):
    channels = of_x.shape[1]
    for event in range(len(sites)):
        share = gradient[event, :channels] / max(offset[event + 1] - offset[event], 1)
        for row in range(offset[event], offset[event + 1]):
            of_x[row] = share
        for k in range(channels):
            if sites[event, k] >= 0:
                of_x[sites[event, k], k] += gradient[event, channels + k]
