"""Mean and maximum over the lit pixels of each event."""

import torch
from jaxtyping import Float
from torch import Tensor

from cdmtrain.batch import LitPixels


def mean_max_pooling(x: Float[Tensor, "site channel"], lit: LitPixels) -> Float[Tensor, "event pooled"]:
    """Mean of each channel over the sites of an event, then the maximum of each; zeros without a site.

    Shapes: x (N, C), not negative, of the N sites of B events -> (B, 2 C).
    """
    return torch.cat([lit.reduce(x, "mean"), lit.reduce(x, "max")], dim=1)
