"""The maximum of rows that belong together, and which of them has it, in one pass."""

from typing import Any, no_type_check

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch_geometric.utils import scatter

from cdmtrain.compiled import jit
from cdmtrain.layers.one_pass import fits


def scatter_max(x: Float[Tensor, "row width"], index: Int[Tensor, " row"], size: int) -> Float[Tensor, "{size} width"]:
    """The maximum over the rows of each index, zero for an index without a row.

    In one pass the gradient goes to the first of equal numbers; torch, which is used elsewhere, shares it out.
    """
    if not fits(x):
        return scatter(x, index, dim_size=size, reduce="max")
    largest: Tensor = _ScatterMax.apply(x, index, size)
    return largest


class _ScatterMax(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, index: Tensor, size: int) -> Tensor:
        largest, row = x.new_zeros(size, x.shape[1]), np.full((size, x.shape[1]), -1, np.int32)
        _maximum(x.detach().contiguous().numpy(), index.numpy(), largest.numpy(), row)
        ctx.row, ctx.shape = row, x.shape
        return largest

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        of_x = gradient.new_zeros(ctx.shape)
        _send_back(gradient.contiguous().numpy(), ctx.row, of_x.numpy())
        return of_x, None, None


@jit
@no_type_check  # numba knows the types
def _maximum(x, index, largest, row):
    for i in range(len(x)):
        values, best, where = x[i], largest[index[i]], row[index[i]]
        for k in range(len(values)):
            value = values[k]
            is_larger = where[k] < 0 or value > best[k] or value != value  # NaN stays
            best[k] = value if is_larger else best[k]
            where[k] = i if is_larger else where[k]


@jit
@no_type_check
def _send_back(gradient, row, of_x):
    for i in range(len(row)):
        for k in range(row.shape[1]):
            if row[i, k] >= 0:
                of_x[row[i, k], k] = gradient[i, k]
