"""An MLP on the edges of a graph and its sum at the nodes, on a CPU, a few edges at a time, which stay in its cache.

A batch has 80 000 edges of 64 numbers, 20 MB. Activations are not kept: the backward pass computes them again.
"""

from functools import partial
from typing import Any, no_type_check

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from cdmtrain.compiled import jit
from cdmtrain.layers.in_parts import add, in_parts
from cdmtrain.layers.row_products import add_outer_products, add_products, padded

TILE = 128  # edges at a time

Nodes = Float[Tensor, "node width"]


def edge_update(
    of_target: Nodes,
    of_source: Nodes,
    e: Float[Tensor, "edge feature"],
    edge_index: Int[Tensor, "2 edge"],
    of_edge: nn.Linear | None,
    linear: nn.Linear,
    norm: nn.LayerNorm,
    *,
    keep_edges: bool,
) -> tuple[Float[Tensor, "edge width"] | None, Nodes]:
    """e'_ij = LN(W max(of_target_i + of_source_j + of_edge(e_ij), 0) + b) and its sum over the edges to each node.

    Args:
        of_edge: a linear layer without bias; None where edges have no feature.
        linear, norm: W with b, and LN.
        keep_edges: whether e' is returned, or None.
    """
    edge_weight = e.new_zeros(of_target.shape[1], 0) if of_edge is None else of_edge.weight
    # W and b without the mean over outputs, which the layer normalisation subtracts
    weight, bias = linear.weight - linear.weight.mean(0), linear.bias - linear.bias.mean()
    inputs = of_target, of_source, e, edge_weight, weight, bias, norm.weight, norm.bias, edge_index
    updated: tuple[Tensor | None, Tensor] = _EdgeUpdate.apply(*inputs, norm.eps, keep_edges)
    return updated


class _EdgeUpdate(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *inputs: Any) -> tuple[Tensor | None, Tensor]:
        *tensors, ctx.eps, keep_edges = inputs
        ctx.save_for_backward(*tensors)
        of_target, _, e, edge_weight, weight, *_ = tensors
        updated = e.new_empty(len(e) if keep_edges else 0, len(weight))
        arrays = *_arrays(*tensors), _matrices(edge_weight.t(), weight.t()), ctx.eps, updated.numpy()

        def forward(first: int, last: int) -> Tensor:
            total = of_target.new_zeros(of_target.shape)
            _update(first, last, *arrays, total.numpy())
            return total

        return updated if keep_edges else None, add(in_parts(len(e), forward))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_updated: Tensor | None, of_total: Tensor) -> tuple[Tensor | None, ...]:
        of_target, of_source, e, edge_weight, weight, bias, gain, shift, _ = ctx.saved_tensors
        of_e = e.new_empty(e.shape if ctx.needs_input_grad[2] else (0, e.shape[1]))
        matrices = _matrices(edge_weight.t(), weight.t()), _matrices(edge_weight, weight)
        gradients = _arrays(of_total[:0] if of_updated is None else of_updated, of_total, of_e)
        arrays = *_arrays(*ctx.saved_tensors), *matrices, ctx.eps, *gradients

        def backward(first: int, last: int) -> list[Tensor]:
            inputs = of_target, of_source, edge_weight.t()[None], weight.t()[None], bias, gain, shift
            sums = [x.new_zeros(x.shape) for x in inputs]
            _gradients(first, last, *arrays, *_arrays(*sums))
            return sums

        sums = map(add, zip(*in_parts(len(e), backward), strict=True))
        *ends, of_edge_weight, of_weight, of_bias, of_gain, of_shift = sums
        of_weights = of_edge_weight[0].t(), of_weight[0].t()
        of_e = of_e if ctx.needs_input_grad[2] else None
        return *ends, of_e, *of_weights, of_bias, of_gain, of_shift, None, None, None


def _arrays(*tensors: Tensor) -> list[Any]:
    return [tensor.detach().contiguous().numpy() for tensor in tensors]


def _matrices(*weights: Tensor) -> tuple[Any, ...]:
    return tuple(padded(weight.unsqueeze(0)) for weight in weights)


@jit
@no_type_check  # numba knows the types
def _update(
    first, last, of_target, of_source, e, edge_weight, weight, bias, gain, shift, edge_index, matrices, eps, updated,
    total,
):  # fmt: skip
    hidden, normed = np.empty((TILE, len(bias)), e.dtype), np.empty((TILE, len(bias)), e.dtype)
    inverse, rows = np.empty(TILE, e.dtype), np.arange(TILE).astype(np.int32)
    for start in range(first, last, TILE):
        end = min(start + TILE, last)
        _normed(start, end, of_target, of_source, e, edge_index, *matrices, bias, eps, rows, hidden, normed, inverse)
        for i in range(end - start):
            target = edge_index[1, start + i]
            for k in range(len(bias)):
                normed[i, k] = normed[i, k] * gain[k] + shift[k]
                total[target, k] += normed[i, k]
            if len(updated):
                for k in range(len(bias)):
                    updated[start + i, k] = normed[i, k]


@jit
@no_type_check
def _normed(
    start, end, of_target, of_source, e, edge_index, edge_matrices, matrices, bias, eps, rows, hidden, normed, inverse
):
    """Activations before the second layer and normalised after it, and by what each edge was multiplied."""
    zero, begin = e.dtype.type(0), np.array([0, end - start])
    for i in range(end - start):
        target, source = edge_index[1, start + i], edge_index[0, start + i]
        for k in range(len(bias)):
            hidden[i, k] = of_target[target, k] + of_source[source, k]
    add_products(e[start:end], edge_matrices, hidden, rows, rows, begin)
    for i in range(end - start):
        for k in range(len(bias)):
            hidden[i, k] = zero if hidden[i, k] < zero else hidden[i, k]  # NaN stays
            normed[i, k] = bias[k]
    add_products(hidden, matrices, normed, rows, rows, begin)
    _row_products(normed, normed, inverse)
    for i in range(end - start):
        inverse[i] = 1 / np.sqrt(inverse[i] / len(bias) + eps)
        for k in range(len(bias)):
            normed[i, k] *= inverse[i]


@jit
@no_type_check
def _gradients(
    first, last, of_target, of_source, e, edge_weight, weight, bias, gain, shift, edge_index, matrices, transposed, eps,
    of_updated, of_total, of_e, to_target, to_source, to_edge_weight, to_weight, to_bias, to_gain, to_shift,
):  # fmt: skip
    zero, shape = e.dtype.type(0), (TILE, len(bias))
    hidden, normed = np.empty(shape, e.dtype), np.zeros(shape, e.dtype)
    gradient, of_hidden = np.zeros(shape, e.dtype), np.empty(shape, e.dtype)
    inverse, along = np.empty(TILE, e.dtype), np.empty(TILE, e.dtype)
    rows, begin = np.arange(TILE).astype(np.int32), np.zeros(2, np.int64)
    for start in range(first, last, TILE):
        end = min(start + TILE, last)
        begin[1] = end - start
        _normed(start, end, of_target, of_source, e, edge_index, *matrices, bias, eps, rows, hidden, normed, inverse)
        for i in range(end - start):
            target = edge_index[1, start + i]
            for k in range(len(bias)):
                gradient[i, k] = of_total[target, k]
            if len(of_updated):
                for k in range(len(bias)):
                    gradient[i, k] += of_updated[start + i, k]
            for k in range(len(bias)):
                to_shift[k] += gradient[i, k]
                to_gain[k] += gradient[i, k] * normed[i, k]
                gradient[i, k] *= gain[k]
        _row_products(gradient, normed, along)
        for i in range(end - start):
            along[i] /= len(bias)
            for k in range(len(bias)):
                gradient[i, k] = inverse[i] * (gradient[i, k] - along[i] * normed[i, k])
                to_bias[k] += gradient[i, k]
        add_outer_products(hidden, gradient, to_weight, rows, rows, begin)
        of_hidden[:] = 0
        add_products(gradient, transposed[1], of_hidden, rows, rows, begin)
        for i in range(end - start):
            target, source = edge_index[1, start + i], edge_index[0, start + i]
            for k in range(len(bias)):
                of_hidden[i, k] = zero if hidden[i, k] <= zero else of_hidden[i, k]
                to_target[target, k] += of_hidden[i, k]
                to_source[source, k] += of_hidden[i, k]
        add_outer_products(e[start:end], of_hidden, to_edge_weight, rows, rows, begin)
        if len(of_e):
            of_e[start:end] = 0
            add_products(of_hidden, transposed[0], of_e[start:end], rows, rows, begin)


@partial(jit, fastmath={"reassoc", "nsz"})  # several numbers are summed at a time; NaN stays
@no_type_check
def _row_products(x, y, total):
    """The scalar product of each row of x with that of y."""
    for i in range(len(x)):
        one = x.dtype.type(0)
        for k in range(x.shape[1]):
            one += x[i, k] * y[i, k]
        total[i] = one
