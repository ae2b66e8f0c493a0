"""Where a layer is computed in one pass over the nodes or edges, without their activations in memory."""

import torch
from torch import Tensor, nn


def fits(x: Tensor, *activations: nn.Module) -> bool:
    """Whether the layers in one pass can compute with this input and these activations.

    Where oneDNN is switched off it computes with torch's operations alone, which can be counted.
    """
    known = x.device.type == "cpu" and x.dtype in (torch.float32, torch.float64)
    known &= all(isinstance(activation, nn.ReLU) for activation in activations)
    elsewhere = torch.compiler.is_compiling() or torch.is_autocast_enabled("cpu")
    return known and not elsewhere and bool(torch.backends.mkldnn.enabled)


def fits_float32(x: Tensor) -> bool:
    """Whether layers without padding, which compute in float32 alone, can compute with this input."""
    return x.dtype == torch.float32 and fits(x)
