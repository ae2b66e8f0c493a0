"""Normalisation, an MLP with GELU and a residual sum on a CPU, with few passes over its activations."""

from typing import Any, no_type_check

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from cdmtrain.layers.exponential import LOG2_E, ONE, ZERO, power_of_two, vectorised
from cdmtrain.layers.in_parts import in_parts


def feed_forward(x: Float[Tensor, "row width"], norm: nn.LayerNorm, mlp: nn.Sequential) -> Float[Tensor, "row width"]:
    """x + mlp(norm(x)) in float32, with an MLP of two linear layers and GELU (arXiv:1606.08415) between them."""
    y: Tensor = _FeedForward.apply(x, *norm.parameters(), *mlp.parameters(), norm.eps)
    return y


class _FeedForward(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, *inputs: Any) -> Tensor:
        *weights, eps = inputs
        gain, shift, first, bias, second, other = weights
        x = x.contiguous()
        normed, mean, inverse = torch.native_layer_norm(x, gain.shape, gain, shift, eps)
        hidden = normed @ first.t()
        active = torch.empty_like(hidden)
        arrays, added = (hidden.numpy(), active.numpy()), bias.numpy()
        in_parts(len(x), lambda i, j: _activate(*(array[i:j] for array in arrays), added))
        ctx.save_for_backward(x, normed, mean, inverse, hidden, *weights)
        return torch.add(x, other).addmm_(active, second.t())

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, normed, mean, inverse, hidden, gain, shift, first, _, second, _ = ctx.saved_tensors
        active, of_hidden = torch.empty_like(hidden), gradient @ second
        arrays = hidden.numpy(), active.numpy(), of_hidden.numpy()
        in_parts(len(x), lambda i, j: _pass_back(*(array[i:j] for array in arrays)))
        of_x, of_gain, of_shift = torch.ops.aten.native_layer_norm_backward(
            of_hidden @ first, x, gain.shape, mean, inverse, gain, shift, [True, True, True]
        )
        of_first, of_second = of_hidden.t() @ normed, gradient.t() @ active
        return of_x + gradient, of_gain, of_shift, of_first, of_hidden.sum(0), of_second, gradient.sum(0), None


@vectorised
@no_type_check  # numba knows the types
def _activate(hidden, active, bias):
    """Add the bias in place."""
    for i in range(len(hidden)):
        row, out = hidden[i], active[i]
        for k in range(len(row)):
            row[k] += bias[k]
            below, _ = _normal(row[k])
            out[k] = row[k] * below


@vectorised
@no_type_check
def _pass_back(hidden, active, gradient):
    """Multiply the gradient by the derivative in place."""
    for i in range(len(hidden)):
        row, out, of_row = hidden[i], active[i], gradient[i]
        for k in range(len(row)):
            below, density = _normal(row[k])
            out[k] = row[k] * below
            of_row[k] *= below + row[k] * density


@vectorised
@no_type_check
def _normal(x):
    """Distribution and density of the normal distribution, exact to 1e-7 (Abramowitz and Stegun, 7.1.26)."""
    power = power_of_two(np.float32(-0.5) * LOG2_E * x * x)
    t = ONE / (ONE + np.float32(0.3275911 * 0.5**0.5) * abs(x))
    p = np.float32(1.061405429)
    p = p * t + np.float32(-1.453152027)
    p = p * t + np.float32(1.421413741)
    p = p * t + np.float32(-0.284496736)
    p = p * t + np.float32(0.254829592)
    beyond = np.float32(0.5) * p * t * power
    return (beyond if x < ZERO else ONE - beyond), np.float32(0.3989422804) * power
