"""The layers of torch in a graph, with their trained weights."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from functools import singledispatch
from typing import Any

import numpy as np
from torch import Tensor, nn
from torch_geometric.nn import Linear as GraphLinear

from cdmtrain.export.graph import Array
from cdmtrain.export.sparse import norm_of
from cdmtrain.layers.pair_linear import PairLinear
from cdmtrain.layers.site_norm import SiteNorm
from cdmtrain.model.densenet import DenseLayer
from cdmtrain.model.resnet import Block


class NotTranslatedError(Exception):
    """A module that is known to no function here; its name."""


def numbers(tensor: Tensor) -> np.ndarray:
    """The values of a tensor in float32."""
    return tensor.detach().cpu().float().numpy()


@singledispatch
def layer(module: nn.Module, x: Array) -> Array:
    """Apply a module to an array, as in evaluation; NotTranslatedError if it is not known."""
    raise NotTranslatedError(type(module).__name__)


def each(modules: Iterable[nn.Module], x: Array) -> Array:
    """Apply modules one after another; a normalisation that follows a convolution becomes part of it."""
    queue = deque(modules)
    while queue:
        module = queue.popleft()
        if type(module) is nn.Conv2d and queue and type(queue[0]) is nn.BatchNorm2d:
            x = _convolution(module, x, queue.popleft())
        else:
            x = layer(module, x)
    return x


@layer.register
def _(module: nn.Sequential, x: Array) -> Array:
    return each(module, x)


@layer.register(nn.Identity)
@layer.register(nn.Dropout)
def _(module: nn.Module, x: Array) -> Array:
    return x


@layer.register
def _(module: nn.Flatten, x: Array) -> Array:
    return x.graph.op("Flatten", x, axis=1)


@layer.register(nn.Linear)
@layer.register(GraphLinear)
def _(module: nn.Linear | GraphLinear, x: Array) -> Array:
    """Of two axes, (row, feature)."""
    bias = None if module.bias is None else x.graph.constant(numbers(module.bias))
    return x.graph.op("Gemm", x, x.graph.constant(numbers(module.weight.t())), bias)


@layer.register
def _(module: nn.LayerNorm, x: Array) -> Array:
    constants = (x.graph.constant(numbers(one)) for one in (module.weight, module.bias))
    return x.graph.op("LayerNormalization", x, *constants, axis=-1, epsilon=module.eps)


@layer.register
def _(module: SiteNorm, x: Array) -> Array:
    scale, shift = (x.graph.constant(one) for one in norm_of(module))
    return x * scale + shift


@layer.register
def _(module: nn.ReLU, x: Array) -> Array:
    return x.apply("Relu")


@layer.register
def _(module: nn.GELU, x: Array) -> Array:
    if module.approximate != "none":
        raise NotTranslatedError("GELU(approximate=tanh)")
    return x.apply("Gelu")


@layer.register
def _(module: nn.SiLU, x: Array) -> Array:
    return x * x.apply("Sigmoid")


@layer.register
def _(module: nn.Tanh, x: Array) -> Array:
    return x.apply("Tanh")


@layer.register
def _(module: nn.Sigmoid, x: Array) -> Array:
    return x.apply("Sigmoid")


@layer.register
def _(module: nn.Conv2d, x: Array) -> Array:
    return _convolution(module, x)


def _convolution(module: nn.Conv2d, x: Array, norm: Any = None) -> Array:
    if isinstance(module.padding, str) or module.padding_mode != "zeros":
        raise NotTranslatedError("Conv2d with padding by name")
    weight, bias = numbers(module.weight), None if module.bias is None else numbers(module.bias)
    if norm is not None:
        scale, shift = norm_of(norm)
        weight, bias = weight * scale.reshape(-1, 1, 1, 1), (0 if bias is None else bias * scale) + shift
    constants = [None if one is None else x.graph.constant(one) for one in (weight, bias)]
    window = {"strides": module.stride, "pads": 2 * tuple(module.padding), "dilations": module.dilation}
    return x.graph.op("Conv", x, *constants, kernel_shape=module.kernel_size, group=module.groups, **window)


@layer.register
def _(module: nn.BatchNorm2d, x: Array) -> Array:
    parameters = (module.weight, module.bias, module.running_mean, module.running_var)
    constants = (x.graph.constant(numbers(one)) for one in parameters if one is not None)
    return x.graph.op("BatchNormalization", x, *constants, epsilon=module.eps)


@layer.register
def _(module: nn.MaxPool2d, x: Array) -> Array:
    return x.graph.op("MaxPool", x, **_window(module), dilations=_pair(module.dilation))


@layer.register
def _(module: nn.AvgPool2d, x: Array) -> Array:
    return x.graph.op("AveragePool", x, **_window(module), count_include_pad=int(module.padding != 0))


def _window(module: nn.MaxPool2d | nn.AvgPool2d) -> dict[str, Any]:
    shape = {"kernel_shape": _pair(module.kernel_size), "strides": _pair(module.stride)}
    return {**shape, "pads": 2 * _pair(module.padding), "ceil_mode": int(module.ceil_mode)}


def _pair(value: int | tuple[int, ...]) -> tuple[int, ...]:
    return value if isinstance(value, tuple) else (value, value)


@layer.register
def _(module: DenseLayer, x: Array) -> Array:
    return x.graph.concat([x, layer(module.h, x)], 1)


@layer.register
def _(module: Block, x: Array) -> Array:
    return layer(module.activation, layer(module.residual, x) + layer(module.shortcut, x))


def pair_linear(module: PairLinear, x: Array, edges: tuple[Array, Array]) -> Array:
    """W [x_i, x_j] + b for every edge from j to i."""
    source, target = edges
    return layer(module.target, x).take(target) + layer(module.source, x).take(source)
