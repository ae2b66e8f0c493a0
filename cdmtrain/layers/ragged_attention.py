"""Attention within each event on a CPU, over rows of all events without padding, event by event in the cache of a core.

The weights of an event are held for some queries and keys at a time, one row for each key: loops over queries are loops
over vectors. The backward pass computes them again (arXiv:2205.14135).
"""

from functools import partial
from typing import Any, no_type_check

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable

from cdmtrain.compiled import jit
from cdmtrain.layers.exponential import LOG2_E, ONE, ZERO, power_of_two, vectorised
from cdmtrain.layers.in_parts import in_parts
from cdmtrain.layers.row_products import LARGEST_VECTOR, add_outer_product, add_product

MOST_WEIGHTS = 2**15  # held at a time: 128 kB
KEYS = 512  # at a time


def ragged_attention(
    query_key_value: Float[Tensor, "row three_widths"], begin: Int[np.ndarray, " event_plus_1"], heads: int
) -> Float[Tensor, "row width"]:
    """softmax(Q K^T / sqrt(width of a head)) V in each head of each event, whose rows are begin[i] to begin[i + 1].

    Float32. A row has its query, key and value, each of all heads one after another.
    """
    attended: Tensor = _RaggedAttention.apply(query_key_value, begin, heads)
    return attended


class _RaggedAttention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, begin: np.ndarray, heads: int) -> Tensor:
        x = x.detach().contiguous()
        y, largest, total = x.new_empty(len(x), x.shape[1] // 3), *x.new_empty(2, heads, len(x))
        arrays = begin, *(tensor.numpy() for tensor in (x, y, largest, total))
        in_parts(len(begin) - 1, lambda first, last: _attend(first, last, *arrays))
        ctx.save_for_backward(x, y, largest, total)
        ctx.begin = begin
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        of_x = torch.empty_like(ctx.saved_tensors[0])
        arrays = ctx.begin, *(tensor.numpy() for tensor in (*ctx.saved_tensors, gradient.contiguous(), of_x))
        in_parts(len(ctx.begin) - 1, lambda first, last: _gradients(first, last, *arrays))
        return of_x, None, None


@jit
@no_type_check  # numba knows the types
def _attend(first, last, begin, x, y, largest, total):
    heads, d = len(largest), y.shape[1] // len(largest)
    for event in range(first, last):
        start, end = begin[event], begin[event + 1]
        rows = x[start:end].copy()  # in order, as the cache is filled fastest
        y[start:end] = ZERO
        for head in range(heads):
            _, keys, values = _of_head(rows, head, heads, d)
            for query in range(start, end, _block(end - start)):
                some = slice(query, min(query + _block(end - start), end))
                own = rows[query - start : some.stop - start]
                queries = turned(own, head * d, d, np.float32(d**-0.5) * LOG2_E)
                top, sums = none_yet(queries.shape[1])
                attended = y[some, head * d : (head + 1) * d]
                for key in range(0, len(keys), KEYS):
                    weights = products(keys[key : key + KEYS], queries)
                    factor = exponentials(weights, top, sums)
                    if key > 0:
                        for i in range(len(attended)):
                            attended[i] *= factor[i]
                    of_keys = values[key : key + KEYS]
                    add_outer_product(weights[:, : len(attended)], of_keys, attended, None, None, 0, len(of_keys))
                largest[head, some], total[head, some] = top[: len(attended)], sums[: len(attended)]
        _divide(y[start:end], total[:, start:end])


@jit
@no_type_check
def _gradients(first, last, begin, x, y, largest, total, of_y, of_x):
    heads, d = len(largest), y.shape[1] // len(largest)
    scale = np.float32(d**-0.5)
    for event in range(first, last):
        start, end = begin[event], begin[event + 1]
        rows, of_rows = x[start:end].copy(), of_y[start:end].copy()  # in order, as the cache is filled fastest
        of_x[start:end] = ZERO
        for head in range(heads):
            queries, keys, values = _of_head(rows, head, heads, d)
            of_queries, of_keys, of_values = _of_head(of_x[start:end], head, heads, d)
            for query in range(start, end, _block(end - start)):
                some = slice(query, min(query + _block(end - start), end))
                number, own = some.stop - some.start, slice(some.start - start, some.stop - start)
                scaled = turned(rows[own], head * d, d, scale * LOG2_E)
                gradient, of_attended = turned(of_rows[own], head * d, d, ONE), of_rows[own, head * d : (head + 1) * d]
                mean = _row_products(y[some], of_rows[own], head * d, d, scaled.shape[1])
                for key in range(0, len(keys), KEYS):
                    part = slice(key, min(key + KEYS, len(keys)))
                    weights, of_weights = products(keys[part], scaled), products(values[part], gradient)
                    _through_softmax(weights, of_weights, largest[head, some], total[head, some], mean, scale)
                    weights, of_weights, count = weights[:, :number], of_weights[:, :number], len(weights)
                    add_product(weights, of_attended, of_values[part], None, None, 0, count, True)
                    add_product(of_weights, queries[own], of_keys[part], None, None, 0, count, True)
                    add_outer_product(of_weights, keys[part], of_queries[own], None, None, 0, count)


@jit
@no_type_check
def _block(number):
    """Queries at a time for so many keys."""
    return MOST_WEIGHTS // min(max(number, 1), KEYS) // LARGEST_VECTOR * LARGEST_VECTOR


@jit
@no_type_check
def _of_head(rows, head, heads, d):
    """The queries, keys and values of a head."""
    query, key, value = head * d, (heads + head) * d, (2 * heads + head) * d
    return rows[:, query : query + d], rows[:, key : key + d], rows[:, value : value + d]


@jit
@no_type_check
def turned(rows, column, width, factor):
    """A matrix with a column for each row, times a factor; columns of zeros complete the last vector."""
    matrix = np.zeros((width, -(-len(rows) // LARGEST_VECTOR) * LARGEST_VECTOR), np.float32)
    for i in range(len(rows)):
        row = rows[i]
        for k in range(width):
            matrix[k, i] = factor * row[column + k]
    return matrix


@jit
@no_type_check
def products(rows, matrix):
    sums = np.empty((len(rows), matrix.shape[1]), np.float32)
    add_product(rows, matrix, sums, None, None, 0, len(rows), None)
    return sums


@jit
@no_type_check
def none_yet(number):
    """The largest weights of queries and the sums, before `exponentials` has seen a key."""
    return np.full(number, -np.inf, np.float32), np.zeros(number, np.float32)


@vectorised
@no_type_check
def exponentials(weights, top, total):
    """2^(weight - largest weight of its query so far) in their place; by what sums over keys before are multiplied."""
    factor = top.copy()
    for key in range(len(weights)):
        row = weights[key]
        for i in range(len(top)):
            top[i] = row[i] if row[i] > top[i] else top[i]
    for i in range(len(top)):
        factor[i] = power_of_two(factor[i] - top[i])
        total[i] *= factor[i]
    for key in range(len(weights)):
        row = weights[key]
        for i in range(len(top)):
            row[i] = power_of_two(row[i] - top[i])
            total[i] += row[i]
    return factor


@vectorised
@no_type_check
def _divide(rows, total):
    width = rows.shape[1] // len(total)
    for i in range(len(rows)):
        for head in range(len(total)):
            row, factor = rows[i, head * width : (head + 1) * width], ONE / total[head, i]
            for k in range(width):
                row[k] *= factor


@partial(vectorised, fastmath={"contract", "reassoc", "nsz"})
@no_type_check
def _row_products(x, y, column, width, number):
    sums = np.zeros(number, np.float32)
    for i in range(len(x)):
        one, other, sum_ = x[i, column : column + width], y[i, column : column + width], ZERO
        for k in range(width):
            sum_ += one[k] * other[k]
        sums[i] = sum_
    return sums


@vectorised
@no_type_check
def _through_softmax(weights, of_weights, largest, total, mean, scale):
    """The attention itself, and the gradients of the products of queries and keys."""
    top, factor = np.zeros(len(mean), np.float32), np.zeros(len(mean), np.float32)
    for i in range(len(largest)):
        top[i], factor[i] = largest[i], ONE / total[i]
    for key in range(len(weights)):
        row, of_row = weights[key], of_weights[key]
        for i in range(len(top)):
            row[i] = power_of_two(row[i] - top[i]) * factor[i]
            of_row[i] = row[i] * (of_row[i] - mean[i]) * scale
