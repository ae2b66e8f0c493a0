"""Convolution over the lit pixels alone (Graham and van der Maaten 2017, arXiv:1706.01307), normalised."""

import math
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from cdmtrain.layers import one_pass
from cdmtrain.layers.normed_convolution import normed_convolution
from cdmtrain.layers.site_norm import SiteNorm
from cdmtrain.layers.sites import KernelMap


class SparseConvolution(nn.Module):
    """y_t = s(norm(sum over pairs (s, t) of x_s W_k) + r_t), with k the element of the kernel that joins s and t.

    With the `neighbours` of a stage the sum is the dense 3 x 3 convolution of an image that is zero at dark pixels,
    read at the lit ones; with its map `down` the dense 2 x 2 convolution of stride 2, read where any of the four pixels
    was lit. It has no bias, and the norm is a batch normalisation over sites. A residual r is added if one is given.

    Args:
        inputs, outputs: channels.
        kernel_elements: 9 or 4.
        activation: s.

    Shapes: x (N, inputs) -> (M, outputs), N and M the numbers of sites that the map joins; residual (M, outputs).
    """

    def __init__(self, inputs: int, outputs: int, *, kernel_elements: int, activation: nn.Module) -> None:
        super().__init__()
        deviation = math.sqrt(2 / (kernel_elements * inputs))  # He 2015, arXiv:1502.01852, eq. 10
        self.weight = nn.Parameter(torch.randn(kernel_elements, inputs, outputs) * deviation)
        self.norm = SiteNorm(outputs)
        self.activation = activation

    def forward(
        self,
        x: Float[Tensor, "from inputs"],
        kernel_map: KernelMap,
        residual: Float[Tensor, "to outputs"] | None = None,
    ) -> Float[Tensor, "to outputs"]:
        device = x.device.type
        dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else self.weight.dtype
        x = x.to(dtype)
        if kernel_map.pairs is not None and one_pass.fits(x):
            relu = isinstance(self.activation, nn.ReLU)
            rest = {"residual": residual, "relu": True} if relu else {"residual": None, "relu": False}
            y = normed_convolution(x, self.weight, kernel_map.pairs, self.norm, **rest)
            if relu:
                return y
        else:
            y = self.norm(sparse_convolution(x, self.weight.to(dtype), kernel_map))
        return self.activation(y if residual is None else residual + y)


def sparse_convolution(
    x: Float[Tensor, "source inputs"], weight: Float[Tensor, "element inputs outputs"], kernel_map: KernelMap
) -> Float[Tensor, "target outputs"]:
    """y_t = sum over pairs (s, t) of x_s W_k, with k the element of the kernel that joins s and t."""
    if kernel_map.pairs is None:
        return _ByTable.apply(x, weight, kernel_map.source_of, kernel_map.target_of)
    return _by_element(x, weight, kernel_map.source_of)


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


def _by_element(x: Tensor, weight: Tensor, source_of: Tensor) -> Tensor:
    """The same in torch's operations, for any type of number."""
    y = x.new_zeros(len(source_of), weight.shape[2])
    for sources, matrix in zip(source_of.unbind(1), weight, strict=True):
        target = (sources < len(x)).nonzero().squeeze(1)
        y = y.index_add(0, target, x.index_select(0, sources.index_select(0, target)) @ matrix)
    return y
