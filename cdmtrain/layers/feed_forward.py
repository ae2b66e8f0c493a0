"""Normalisation, an MLP with GELU and a residual sum on a CPU, some rows at a time, which stay in the cache."""

from collections.abc import Iterator
from typing import Any, no_type_check

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from cdmtrain.layers.exponential import LOG2_E, ONE, ZERO, power_of_two, vectorised

ROWS = 2048  # at a time


def feed_forward(x: Float[Tensor, "row width"], norm: nn.LayerNorm, mlp: nn.Sequential) -> Float[Tensor, "row width"]:
    """x + mlp(norm(x)) in float32, with an MLP of two linear layers and GELU (arXiv:1606.08415) between them."""
    y: Tensor = _FeedForward.apply(x, *norm.parameters(), *mlp.parameters(), norm.eps)
    return y


class _FeedForward(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, *inputs: Any) -> Tensor:
        *weights, ctx.eps = inputs
        gain, shift, first, bias, second, other = weights
        x, hidden, y = x.contiguous(), x.new_empty(len(x), len(first)), torch.empty(x.shape)
        for some in _parts(len(x)):
            rows, normed = hidden[some], functional.layer_norm(x[some], gain.shape, gain, shift, ctx.eps)
            torch.mm(normed, first.t(), out=rows)
            active = torch.empty_like(rows)
            _activate(rows.numpy(), bias.numpy(), active.numpy())
            torch.add(x[some], other, out=y[some]).addmm_(active, second.t())
        ctx.save_for_backward(x, hidden, *weights)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        (x, hidden, *weights), gradient = ctx.saved_tensors, gradient.contiguous()
        gain, shift, first, _, second, _ = weights
        of_x, sums = torch.empty_like(x), [torch.zeros_like(weight) for weight in weights]
        of_gain, of_shift, of_first, of_bias, of_second, of_other = sums
        for some in _parts(len(x)):
            rows, of_outputs = hidden[some], gradient[some]
            normed, mean, inverse = torch.native_layer_norm(x[some], gain.shape, gain, shift, ctx.eps)
            active, of_rows = torch.empty_like(rows), of_outputs @ second
            _pass_back(rows.numpy(), active.numpy(), of_rows.numpy())
            of_second.addmm_(of_outputs.t(), active)
            of_first.addmm_(of_rows.t(), normed)
            of_bias += of_rows.sum(0)
            of_other += of_outputs.sum(0)
            of_norm = torch.ops.aten.native_layer_norm_backward(
                of_rows @ first, x[some], gain.shape, mean, inverse, gain, shift, [True, True, True]
            )
            torch.add(of_norm[0], of_outputs, out=of_x[some])
            of_gain += of_norm[1]
            of_shift += of_norm[2]
        return of_x, *sums, None


def _parts(number: int) -> Iterator[slice]:
    return (slice(start, start + ROWS) for start in range(0, number, ROWS))


@vectorised
@no_type_check  # numba knows the types
def _activate(hidden, bias, active):
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
