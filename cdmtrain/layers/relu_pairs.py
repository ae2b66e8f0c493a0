"""What the two nodes of every edge activate together, in one pass over the edges."""

from typing import Any, no_type_check

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable

from cdmtrain.compiled import jit

Nodes = Float[Tensor, "node width"]
Edges = Float[Tensor, "edge width"]


def relu_pairs(of_target: Nodes, of_source: Nodes, edge_index: Int[Tensor, "2 edge"]) -> Edges:
    """max(of_target_i + of_source_j, 0) for every edge from j to i; `one_pass.fits` tells where."""
    pairs: Tensor = _ReluPairs.apply(of_target, of_source, edge_index)
    return pairs


def relu_pair_sum(of_target: Nodes, of_source: Nodes, edge_index: Int[Tensor, "2 edge"]) -> Nodes:
    """The sum of `relu_pairs` over the edges to every node; zeros for a node without an edge.

    Of the edges, of which there are several for each node, nothing is kept in memory for the backward pass.
    """
    total: Tensor = _ReluPairSum.apply(of_target, of_source, edge_index)
    return total


class _ReluPairs(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, of_target: Tensor, of_source: Tensor, edge_index: Tensor) -> Tensor:
        pairs = of_target.new_empty(edge_index.shape[1], of_target.shape[1])
        _activate(*_arrays(of_target, of_source, edge_index), pairs.numpy())
        ctx.num_nodes = len(of_target)
        ctx.save_for_backward(pairs, edge_index)
        return pairs

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        pairs, edge_index = ctx.saved_tensors
        of_target, of_source = (gradient.new_zeros(ctx.num_nodes, pairs.shape[1]) for _ in range(2))
        _activation_gradients(*_arrays(pairs, edge_index, gradient, of_target, of_source))
        return of_target, of_source, None


class _ReluPairSum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, of_target: Tensor, of_source: Tensor, edge_index: Tensor) -> Tensor:
        total = of_target.new_zeros(of_target.shape)
        ctx.save_for_backward(of_target, of_source, edge_index)
        _sum(*_arrays(of_target, of_source, edge_index), total.numpy())
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        of_target, of_source = (gradient.new_zeros(gradient.shape) for _ in range(2))
        _sum_gradients(*_arrays(*ctx.saved_tensors, gradient), of_target.numpy(), of_source.numpy())
        return of_target, of_source, None


def _arrays(*tensors: Tensor) -> list[Any]:
    return [tensor.detach().contiguous().numpy() for tensor in tensors]


@jit
@no_type_check  # numba knows the types
def _activate(of_target, of_source, edge_index, pairs):
    zero = pairs.dtype.type(0)
    for edge in range(len(pairs)):
        a, b, row = of_target[edge_index[1, edge]], of_source[edge_index[0, edge]], pairs[edge]
        for k in range(len(row)):
            z = a[k] + b[k]
            row[k] = zero if z < zero else z  # NaN stays


@jit
@no_type_check
def _activation_gradients(pairs, edge_index, gradient, of_target, of_source):
    zero = pairs.dtype.type(0)
    for edge in range(len(pairs)):
        a, b, row, value = of_target[edge_index[1, edge]], of_source[edge_index[0, edge]], gradient[edge], pairs[edge]
        for k in range(len(row)):
            part = zero if value[k] <= zero else row[k]
            a[k] += part
            b[k] += part


@jit
@no_type_check
def _sum(of_target, of_source, edge_index, total):
    zero = total.dtype.type(0)
    for edge in range(edge_index.shape[1]):
        source, target = edge_index[0, edge], edge_index[1, edge]
        a, b, row = of_target[target], of_source[source], total[target]
        for k in range(len(row)):
            z = a[k] + b[k]
            row[k] += zero if z < zero else z  # NaN stays


@jit
@no_type_check
def _sum_gradients(of_target, of_source, edge_index, gradient, target_gradient, source_gradient):
    zero = gradient.dtype.type(0)
    for edge in range(edge_index.shape[1]):
        source, target = edge_index[0, edge], edge_index[1, edge]
        a, b, row = of_target[target], of_source[source], gradient[target]
        to_target, to_source = target_gradient[target], source_gradient[source]
        for k in range(len(row)):
            part = zero if a[k] + b[k] <= zero else row[k]
            to_target[k] += part
            to_source[k] += part
