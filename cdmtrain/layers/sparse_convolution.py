"""Convolution over the lit pixels alone (Graham and van der Maaten 2017, arXiv:1706.01307), normalised."""

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from cdmtrain.layers.site_norm import SiteNorm
from cdmtrain.layers.sites import KernelMap


class SparseConvolution(nn.Module):
    """y_t = norm(sum over pairs (s, t) of x_s W_k), with k the element of the kernel that joins s and t.

    With `submanifold_map` it is the dense 3 x 3 convolution of an image that is zero at dark pixels, read at the lit
    ones; with `strided_map` the dense 2 x 2 convolution of stride 2, read where any of the four pixels was lit. It has
    no bias, and the norm is a batch normalisation over sites.

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


@torch.compiler.disable
def sparse_convolution(
    x: Float[Tensor, "source inputs"], weight: Float[Tensor, "element inputs outputs"], kernel_map: KernelMap
) -> Float[Tensor, "target outputs"]:
    """y_t = sum over pairs (s, t) of x_s W_k, with k the element of the kernel that joins s and t."""
    return _Convolution.apply(x, weight, kernel_map)


class _Convolution(torch.autograd.Function):
    """One gather, one product for each element of the kernel, one sum by target; backward with the pairs reversed.

    It keeps only its arguments for the backward pass. While it runs it needs a row for each pair.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, kernel_map: KernelMap) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.kernel_map = kernel_map
        products = _products(x.index_select(0, kernel_map.source), weight, kernel_map.counts)
        return _summed(products, kernel_map.by_target)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        (x, weight), (source, target, counts, by_source, _) = ctx.saved_tensors, ctx.kernel_map
        of_pair = gradient.contiguous().index_select(0, target)
        of_x = of_weight = None
        if ctx.needs_input_grad[0]:
            of_x = _summed(_products(of_pair, weight.transpose(1, 2), counts), by_source)
        if ctx.needs_input_grad[1]:
            elements = zip(x.index_select(0, source).split(counts), of_pair.split(counts), strict=True)
            of_weight = torch.stack([inputs.t() @ outputs for inputs, outputs in elements])
        return of_x, of_weight, None


def _products(rows: Tensor, weight: Tensor, counts: list[int]) -> Tensor:
    """The rows of each element of the kernel times its matrix."""
    y = rows.new_empty(len(rows), weight.shape[2])
    for part, matrix, out in zip(rows.split(counts), weight, y.split(counts), strict=True):
        torch.mm(part, matrix, out=out)
    return y


def _summed(rows: Tensor, groups: tuple[Tensor, Tensor]) -> Tensor:
    """The sum of the rows of each group, given as (rows by group, where each group begins)."""
    order, begin = groups
    return functional.embedding_bag(order, rows, begin, mode="sum", include_last_offset=True)
