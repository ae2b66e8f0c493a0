"""Reverse padded sequences, each within its own length."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

Elements = Float[Tensor, "event element feature"]


def reverse(x: Elements, mask: Bool[Tensor, "event element"]) -> Elements:
    """Reverse the elements of each event; padding stays at the end.

    With this, a recurrent network reads backwards without packed sequences, which are slow on a CPU.
    """
    index = torch.arange(mask.shape[1], device=mask.device).expand_as(mask)
    index = torch.where(mask, mask.sum(1, keepdim=True) - 1 - index, index)
    return x.gather(1, index.unsqueeze(2).expand_as(x))
