"""A linear layer, a ReLU and a weighted sum over the nodes of each event, in one pass."""

from typing import Any, no_type_check

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable

from cdmtrain.compiled import jit

MOST_FEATURES = 16  # of a node: for more, products of matrices are faster


def relu_pooling(
    x: Float[Tensor, "node feature"],
    weight: Float[Tensor, "width feature"],
    bias: Float[Tensor, " width"],
    factor: Float[Tensor, " node"],
    event: Int[Tensor, " node"],
    num_events: int,
) -> Float[Tensor, "event width"]:
    """Sum of factor_i max(weight x_i + bias, 0) over the nodes i of each event; zeros for an event without a node.

    The nodes' activations, megabytes in a batch, are never in memory: the backward pass computes them again, which is
    faster than to write and read them. `factor` gets no gradient.
    """
    pooled: Tensor = _ReluPooling.apply(x, weight, bias, factor, event, num_events)
    return pooled


class _ReluPooling(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *inputs: Any) -> Tensor:
        x, weight, bias, factor, event, num_events = inputs
        arrays = x.detach().contiguous(), weight.detach().T.contiguous(), bias.detach(), factor.detach(), event
        ctx.arrays = [array.numpy() for array in arrays]
        pooled = x.new_zeros(num_events, len(bias))
        _pool(*ctx.arrays, pooled.numpy())
        return pooled

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, bias, *_ = ctx.arrays
        of_x = gradient.new_zeros(x.shape if ctx.needs_input_grad[0] else (0, x.shape[1]))
        of_weight, of_bias = gradient.new_zeros(weight.shape), gradient.new_zeros(bias.shape)
        _gradients(*ctx.arrays, gradient.contiguous().numpy(), of_x.numpy(), of_weight.numpy(), of_bias.numpy())
        return of_x if len(of_x) else None, of_weight.T, of_bias, None, None, None


@jit
@no_type_check  # numba knows the types
def _pool(x, weight, bias, factor, event, pooled):
    z, zero = np.empty_like(bias), bias.dtype.type(0)
    for node in range(len(x)):
        _linear(x[node], weight, bias, z)
        scale, row = factor[node], pooled[event[node]]
        for k in range(len(z)):
            row[k] += scale * (zero if z[k] < zero else z[k])  # NaN stays


@jit
@no_type_check
def _gradients(x, weight, bias, factor, event, gradient, of_x, of_weight, of_bias):
    z, zero = np.empty_like(bias), bias.dtype.type(0)
    for node in range(len(x)):
        _linear(x[node], weight, bias, z)
        scale, row = factor[node], gradient[event[node]]
        for k in range(len(z)):
            z[k] = zero if z[k] <= zero else scale * row[k]
            of_bias[k] += z[k]
        for feature in range(x.shape[1]):
            value, of_row = x[node, feature], of_weight[feature]
            for k in range(len(z)):
                of_row[k] += value * z[k]
            if len(of_x):
                of_x[node, feature] = (weight[feature] * z).sum()


@jit
@no_type_check
def _linear(x, weight, bias, z):
    for k in range(len(z)):
        z[k] = bias[k]
    for feature in range(len(x)):
        value, row = x[feature], weight[feature]
        for k in range(len(z)):
            z[k] += value * row[k]
