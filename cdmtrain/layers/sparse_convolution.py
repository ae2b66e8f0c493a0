"""Convolution over the lit pixels alone (Graham and van der Maaten 2017, arXiv:1706.01307), normalised."""

import math
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from cdmtrain.layers.pair_lists import PairLists
from cdmtrain.layers.site_norm import SiteNorm
from cdmtrain.layers.sites import KernelMap


class SparseConvolution(nn.Module):
    """y_t = norm(sum over pairs (s, t) of x_s W_k), with k the element of the kernel that joins s and t.

    With the `neighbours` of a stage it is the dense 3 x 3 convolution of an image that is zero at dark pixels, read at
    the lit ones; with its map `down` the dense 2 x 2 convolution of stride 2, read where any of the four pixels was
    lit. It has no bias, and the norm is a batch normalisation over sites.

    Args:
        inputs, outputs: channels.
        kernel_elements: 9 or 4.

    Shapes: x (N, inputs) -> (M, outputs), N and M the numbers of sites that the map joins.
    """

    def __init__(self, inputs: int, outputs: int, *, kernel_elements: int) -> None:
        super().__init__()
        deviation = math.sqrt(2 / (kernel_elements * inputs))  # He 2015, arXiv:1502.01852, eq. 10
        self.weight = nn.Parameter(torch.randn(kernel_elements, inputs, outputs) * deviation)
        self.norm = SiteNorm(outputs)

    def forward(self, x: Float[Tensor, "site inputs"], kernel_map: KernelMap) -> Float[Tensor, "to outputs"]:
        device = x.device.type
        dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else self.weight.dtype
        return self.norm(sparse_convolution(x.to(dtype), self.weight.to(dtype), kernel_map))


def sparse_convolution(
    x: Float[Tensor, "source inputs"], weight: Float[Tensor, "element inputs outputs"], kernel_map: KernelMap
) -> Float[Tensor, "target outputs"]:
    """y_t = sum over pairs (s, t) of x_s W_k, with k the element of the kernel that joins s and t."""
    if kernel_map.pairs is None:
        return _ByTable.apply(x, weight, kernel_map.source_of, kernel_map.target_of)
    return _ByPairs.apply(x, weight, kernel_map.pairs)


class _ByTable(torch.autograd.Function):
    """One gather and one product, with zeros where a kernel meets dark pixels; in the backward pass the same.

    On a GPU this is faster than to leave the dark pixels out: it starts 5 kernels, and 9 in the backward pass.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, source_of: Tensor, target_of: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight, target_of)
        return _gather(x, source_of) @ weight.flatten(0, 1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        x, weight, target_of = ctx.saved_tensors
        elements, inputs, outputs = weight.shape
        of_targets = _gather(gradient, target_of)
        of_x = of_weight = None
        if ctx.needs_input_grad[0]:
            of_x = of_targets @ weight.transpose(1, 2).flatten(0, 1)
        if ctx.needs_input_grad[1]:
            of_weight = (x.t() @ of_targets).view(inputs, elements, outputs).transpose(0, 1)
        return of_x, of_weight, None, None


def _gather(x: Float[Tensor, "site channel"], table: Int[Tensor, "row element"]) -> Float[Tensor, "row gathered"]:
    """The rows of x that a table names, side by side; zeros where it names none."""
    padded = torch.cat([x, x.new_zeros(1, x.shape[1])])
    return padded.index_select(0, table.flatten()).view(-1, table.shape[1] * x.shape[1])


class _ByPairs(torch.autograd.Function):
    """One gather, one product for each element of the kernel, one sum by target; backward with the pairs reversed.

    The element that leads from each site to itself needs neither gather nor sum: it is added as one product. Only the
    arguments are kept for the backward pass. While it runs it needs a row for each pair.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, pairs: PairLists) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.pairs = pairs
        y = _sum(_products(x.index_select(0, pairs.source), weight, pairs.counts), pairs.by_target)
        return y if pairs.itself is None else y.addmm_(x, weight[pairs.itself])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        (x, weight), (source, target, counts, by_source, _, itself) = ctx.saved_tensors, ctx.pairs
        gradient = gradient.contiguous()
        of_pair = gradient.index_select(0, target)
        of_x = of_weight = None
        if ctx.needs_input_grad[0]:
            of_x = _sum(_products(of_pair, weight.transpose(1, 2), counts), by_source)
            if itself is not None:
                of_x.addmm_(gradient, weight[itself].t())
        if ctx.needs_input_grad[1]:
            elements = zip(x.index_select(0, source).split(counts), of_pair.split(counts), strict=True)
            of_weight = torch.stack([inputs.t() @ outputs for inputs, outputs in elements])
            if itself is not None:
                torch.mm(x.t(), gradient, out=of_weight[itself])
        return of_x, of_weight, None


def _products(rows: Tensor, weight: Tensor, counts: list[int]) -> Tensor:
    """The rows of each element of the kernel times its matrix."""
    y = rows.new_empty(len(rows), weight.shape[2])
    for part, matrix, out in zip(rows.split(counts), weight, y.split(counts), strict=True):
        torch.mm(part, matrix, out=out)
    return y


def _sum(rows: Tensor, groups: tuple[Tensor, Tensor]) -> Tensor:
    """The sum of the rows of each group, given as (rows by group, where each group begins)."""
    order, begin = groups
    return functional.embedding_bag(order, rows, begin, mode="sum", include_last_offset=True)
