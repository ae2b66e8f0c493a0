"""Activations by name, and the cheaper order of an activation and a pooling."""

from torch import nn

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
}
MONOTONIC = ("relu", "tanh", "sigmoid")


def make_activation(name: str, *, inplace: bool = False) -> nn.Module:
    """Return the layer s(x) of this name.

    Args:
        name: relu, gelu, silu, tanh or sigmoid; ValueError for another.
        inplace: overwrite the input where the layer is a ReLU, which saves its memory.
    """
    if name not in ACTIVATIONS:
        raise ValueError(f"activation={name}: one of {', '.join(ACTIVATIONS)} is expected")
    return nn.ReLU(inplace=True) if inplace and name == "relu" else ACTIVATIONS[name]()


def activation_then(name: str, pool: nn.MaxPool2d | nn.AvgPool2d) -> tuple[nn.Module, nn.Module]:
    """Return the two layers whose succession is pool(s(x)).

    A monotonic activation and a maximum commute, gradients included, so the maximum goes first and the activation acts
    on fewer numbers.
    """
    layers = make_activation(name), pool
    return layers[::-1] if isinstance(pool, nn.MaxPool2d) and name in MONOTONIC else layers
