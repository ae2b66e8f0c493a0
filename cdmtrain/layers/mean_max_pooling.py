"""Mean and maximum over the sites of each event."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from cdmtrain.batch import reduce_events


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
    if once is None:
        mean = reduce_events(x, offset, "mean")
    else:
        mean = reduce_events(x * once, offset, "sum") / reduce_events(once, offset, "sum").clamp(min=1)
    return torch.cat([mean, reduce_events(x, offset, "max")], dim=1)
