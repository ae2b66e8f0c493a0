"""Means of the rows of each event on a CPU, weighted by what a few queries of the event attend to; without padding."""

from typing import Any, no_type_check

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable

from cdmtrain.compiled import jit
from cdmtrain.layers.exponential import LOG2_E, ONE, ZERO
from cdmtrain.layers.in_parts import in_parts
from cdmtrain.layers.ragged_attention import exponentials, none_yet, products, turned
from cdmtrain.layers.row_products import add_outer_product, add_product


def attended_means(
    query: Float[Tensor, "event head width"], x: Float[Tensor, "row width"], begin: Int[np.ndarray, " event_plus_1"]
) -> Float[Tensor, "event head width"]:
    """sum_j a_j x_j with a = softmax_j(q . x_j) for each query q of an event, whose rows are begin[i] to begin[i + 1].

    Float32.
    """
    means: Tensor = _AttendedMeans.apply(query, x, begin)
    return means


class _AttendedMeans(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, query: Tensor, x: Tensor, begin: np.ndarray) -> Tensor:
        query, x = query.detach().contiguous(), x.detach().contiguous()
        means = torch.empty_like(query)
        arrays = begin, *(tensor.numpy() for tensor in (query, x, means))
        in_parts(len(query), lambda first, last: _means(first, last, *arrays))
        ctx.save_for_backward(query, x, means)
        ctx.begin = begin
        return means

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        query, x, _ = ctx.saved_tensors
        of_query, of_x = torch.empty_like(query), torch.empty_like(x)
        arrays = ctx.begin, *(tensor.numpy() for tensor in (*ctx.saved_tensors, gradient.contiguous(), of_query, of_x))
        in_parts(len(query), lambda first, last: _gradients(first, last, *arrays))
        return of_query, of_x, None


@jit
@no_type_check  # numba knows the types
def _means(first, last, begin, query, x, means):
    for event in range(first, last):
        rows, some = x[begin[event] : begin[event + 1], : x.shape[1]], means[event][:, : x.shape[1]]
        weights = products(rows, turned(query[event], 0, x.shape[1], LOG2_E))
        top, total = none_yet(weights.shape[1])
        exponentials(weights, top, total)
        some[:] = ZERO
        add_outer_product(weights[:, : len(some)], rows, some, None, None, 0, len(rows))
        for i in range(len(some)):
            some[i] /= total[i]


@jit
@no_type_check
def _gradients(first, last, begin, query, x, means, of_means, of_query, of_x):
    heads, width = query.shape[1], x.shape[1]
    for event in range(first, last):
        some = slice(begin[event], begin[event + 1])
        rows, of_rows = x[some, :width], of_x[some, :width]
        queries, of_queries, gradient = query[event][:, :width], of_query[event][:, :width], of_means[event][:, :width]
        weights = products(rows, turned(query[event], 0, width, LOG2_E))
        of_weights = products(rows, turned(of_means[event], 0, width, ONE))
        top, total = none_yet(weights.shape[1])
        exponentials(weights, top, total)
        mean = (of_means[event] * means[event]).sum(1)
        for j in range(len(rows)):
            for i in range(heads):
                weights[j, i] /= total[i]
                of_weights[j, i] = weights[j, i] * (of_weights[j, i] - mean[i])
        of_queries[:] = ZERO
        add_product(weights[:, :heads], gradient, of_rows, None, None, 0, len(rows), None)
        add_product(of_weights[:, :heads], queries, of_rows, None, None, 0, len(rows), True)
        add_outer_product(of_weights[:, :heads], rows, of_queries, None, None, 0, len(rows))
