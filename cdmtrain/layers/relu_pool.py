"""ReLU followed by pooling, in the order that costs less."""

from torch import nn


def relu_then(pool: nn.MaxPool2d | nn.AvgPool2d) -> tuple[nn.Module, nn.Module]:
    """Return the two layers whose succession is pool(ReLU(x)).

    ReLU and a maximum commute, gradients included, so the maximum goes first and ReLU acts on fewer numbers.
    """
    return (pool, nn.ReLU()) if isinstance(pool, nn.MaxPool2d) else (nn.ReLU(), pool)
