"""The memory format in which convolutions with few channels are fast."""

from typing import TypeVar

import torch
from torch import nn

Net = TypeVar("Net", bound=nn.Module)


def channels_last(net: Net) -> Net:
    """Store the weights of convolutions with their channels last, in place; the values stay the same.

    In the default format, PyTorch's CPU kernels (oneDNN) pad the channels to a multiple of 16. With few channels this
    format is several times as fast.
    """
    return net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
