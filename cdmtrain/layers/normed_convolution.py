"""Sparse convolution, batch normalisation over sites and ReLU of a CPU, group by group of the pairs that are joined.

What a group computes stays in the cache of a core from one step to the next. In the backward pass the gradient of the
convolution's result exists for one group at a time.
"""

from typing import Any, no_type_check

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from cdmtrain.compiled import jit
from cdmtrain.layers.in_parts import add, in_parts
from cdmtrain.layers.pair_lists import PairLists
from cdmtrain.layers.row_products import add_outer_products, add_products, padded
from cdmtrain.layers.site_norm import MOMENTUM, SiteNorm


def normed_convolution(
    x: Float[Tensor, "source inputs"],
    weight: Float[Tensor, "element inputs outputs"],
    pairs: PairLists,
    norm: SiteNorm,
    *,
    residual: Float[Tensor, "target outputs"] | None,
    relu: bool,
) -> Float[Tensor, "target outputs"]:
    """norm(sum over pairs (s, t) of x_s W_k) + residual, its negative numbers 0 with `relu`; where `one_pass.fits`."""
    y: Tensor = _NormedConvolution.apply(x, weight, norm.weight, norm.bias, residual, pairs, norm, relu)
    return y


class _NormedConvolution(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, gain: Tensor, bias: Tensor, residual: Tensor | None, pairs: PairLists,
        norm: SiteNorm, relu: bool,
    ) -> Tensor:  # fmt: skip
        sites, groups, channels = int(pairs.target_row[-1]), len(pairs.begin), weight.shape[2]
        sums, y = x.new_empty(sites, channels), x.new_empty(sites, channels)
        moments = np.zeros((2, groups, channels), sums.numpy().dtype)
        arrays = _array(x), padded(weight), sums.numpy(), *pairs, *moments
        in_parts(groups, lambda first, last: _convolve(first, last, *arrays))
        running = _array(norm.running_mean), _array(norm.running_var)
        of_batch = norm.training and sites > 1
        affine = _affine(*moments, pairs.target_row, of_batch, *running, _array(gain), _array(bias), norm.eps)
        _normalise(sums.numpy(), _array(x[:0] if residual is None else residual), affine, relu, y.numpy())
        ctx.save_for_backward(x, weight, sums, y)
        ctx.pairs, ctx.relu, ctx.of_batch, ctx.affine = pairs, relu, of_batch, affine
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        (x, weight, sums, y), pairs, groups = ctx.saved_tensors, ctx.pairs, len(ctx.pairs.begin)
        of_x = x.new_empty(x.shape if ctx.needs_input_grad[0] else (0, 0))
        of_residual = y.new_empty(y.shape if ctx.needs_input_grad[4] else (0, 0))
        of_norm = np.zeros((2, groups, y.shape[1]), y.numpy().dtype)
        passed = _array(gradient), y.numpy(), ctx.relu, sums.numpy()
        _norm_gradients(*passed, pairs.target_row, ctx.affine, of_residual.numpy(), *of_norm)
        of_bias, of_gain, slope, constant = _through_moments(*of_norm, len(y), ctx.of_batch, ctx.affine)
        arrays = *passed, ctx.affine, slope, constant, _array(x), padded(weight.transpose(1, 2)), *pairs, of_x.numpy()

        def backward(first: int, last: int) -> Tensor:
            of_weight = weight.new_zeros(weight.shape if ctx.needs_input_grad[1] else (0, 0, 0))
            _gradients(first, last, *arrays, of_weight.numpy())
            return of_weight

        gradients = (
            of_x,
            add(in_parts(groups, backward)),
            torch.from_numpy(of_gain),
            torch.from_numpy(of_bias),
            of_residual,
        )
        wanted = zip(gradients, ctx.needs_input_grad, strict=False)
        return *(gradient if needed else None for gradient, needed in wanted), None, None, None


def _array(tensor: Tensor | None) -> Any:
    return tensor.detach().contiguous().numpy()  # type: ignore[union-attr]


@jit
@no_type_check  # numba knows the types
def _convolve(first, last, x, matrices, y, source, target, begin, source_row, target_row, means, squares):
    """The sums over the pairs of some groups, with mean and sum of squared deviations of each group."""
    for group in range(first, last):
        rows, mean, square = y[target_row[group] : target_row[group + 1]], means[group], squares[group]
        rows[:] = 0
        of_group = x[source_row[group] : source_row[group + 1]]
        add_products(of_group, matrices, rows, source, target, begin[group])
        for row in range(len(rows)):
            for k in range(len(mean)):
                mean[k] += rows[row, k]
        mean /= max(len(rows), 1)
        for row in range(len(rows)):
            for k in range(len(mean)):
                square[k] += (rows[row, k] - mean[k]) ** 2


@jit
@no_type_check
def _affine(means, squares, target_row, of_batch, running_mean, running_var, gain, bias, eps):
    """Mean, 1 / deviation, factor and summand of each channel; the running statistics follow those of a batch.

    Groups are combined as by Chan, Golub and LeVeque (1983), eq. 2.1.
    """
    affine, sites = np.empty((4, len(gain)), gain.dtype), target_row[-1]
    for k in range(len(gain)):
        mean, variance = np.float64(running_mean[k]), np.float64(running_var[k])
        if of_batch:
            mean = variance = 0.0
            for group in range(len(means)):
                mean += (target_row[group + 1] - target_row[group]) * np.float64(means[group, k]) / sites
            for group in range(len(means)):
                rows = target_row[group + 1] - target_row[group]
                variance += (squares[group, k] + rows * (means[group, k] - mean) ** 2) / sites
            running_mean[k] += MOMENTUM * (mean - running_mean[k])
            running_var[k] += MOMENTUM * (variance * sites / (sites - 1) - running_var[k])
        inverse = 1 / np.sqrt(variance + eps)
        affine[:, k] = mean, inverse, gain[k] * inverse, bias[k] - mean * gain[k] * inverse
    return affine


@jit
@no_type_check
def _normalise(x, residual, affine, relu, y):
    zero, scale, shift = x.dtype.type(0), affine[2], affine[3]
    for row in range(len(x)):
        for k in range(x.shape[1]):
            z = x[row, k] * scale[k] + shift[k]
            if len(residual):
                z += residual[row, k]
            y[row, k] = zero if relu and z < zero else z  # NaN stays


@jit
@no_type_check
def _norm_gradients(gradient, y, relu, x, target_row, affine, of_residual, of_bias, of_gain):
    """Sums for the gradients of the normalisation, and the gradient of the residual where it is wanted."""
    zero, mean, inverse = x.dtype.type(0), affine[0], affine[1]
    for group in range(len(of_bias)):
        bias, gain = of_bias[group], of_gain[group]
        for row in range(target_row[group], target_row[group + 1]):
            for k in range(x.shape[1]):
                part = zero if relu and y[row, k] <= zero else gradient[row, k]
                bias[k] += part
                gain[k] += part * (x[row, k] - mean[k]) * inverse[k]
            if len(of_residual):
                for k in range(x.shape[1]):
                    of_residual[row, k] = zero if relu and y[row, k] <= zero else gradient[row, k]


@jit
@no_type_check
def _through_moments(biases, gains, sites, of_batch, affine):
    """The gradients of the normalisation, and what each sum adds to its own gradient through mean and variance."""
    of_bias, of_gain, slope, constant = np.zeros((4, affine.shape[1]), affine.dtype)
    for k in range(affine.shape[1]):
        bias = gain = 0.0
        for group in range(len(biases)):
            bias += biases[group, k]
            gain += gains[group, k]
        of_bias[k], of_gain[k] = bias, gain
        if of_batch:
            mean, inverse, scale = affine[0, k], affine[1, k], affine[2, k]
            slope[k] = -scale * inverse * gain / sites
            constant[k] = -scale * bias / sites - slope[k] * mean
    return of_bias, of_gain, slope, constant


@jit
@no_type_check
def _gradients(
    first, last, gradient, y, relu, sums, affine, slope, constant, x, matrices, source, target, begin, source_row,
    target_row, of_x, of_weight,
):  # fmt: skip
    """The gradients of x and of the weights."""
    zero, scale = y.dtype.type(0), affine[2]
    for group in range(first, last):
        start = target_row[group]
        of_sums = np.empty((target_row[group + 1] - start, y.shape[1]), y.dtype)
        for i in range(len(of_sums)):
            row = start + i
            for k in range(y.shape[1]):
                part = zero if relu and y[row, k] <= zero else gradient[row, k]
                of_sums[i, k] = scale[k] * part + slope[k] * sums[row, k] + constant[k]
        sources = slice(source_row[group], source_row[group + 1])
        if len(of_x):
            of_x[sources] = 0
            add_products(of_sums, matrices, of_x[sources], target, source, begin[group])
        if len(of_weight):
            add_outer_products(x[sources], of_sums, of_weight, source, target, begin[group])
