"""Convolution, activation and pooling computed at lit cells alone: the dense network, at a fraction of its cost."""

from collections.abc import Iterable
from math import prod
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from cdmtrain.layers.lit_cells import Cells, Window


def lit_features(
    blocks: nn.Sequential, energy: Float[Tensor, " hit"], stages: list[Cells]
) -> Float[Tensor, "event feature"]:
    """What `blocks(image).flatten(1)` gives, computed once for equal cells.

    Args:
        blocks: [convolution, pooling and a pointwise layer in either order] of each stage.
        energy: of the lit pixels of the image.
        stages: the cells of each stage, from these pixels.
    """
    x, layers = energy.unsqueeze(1), list(blocks)
    for number, cells in enumerate(stages):
        convolution, *after = layers[3 * number : 3 * number + 3]
        assert isinstance(convolution, nn.Conv2d)
        x = _at_each_cell(convolution, after, x, cells)
        if number + 1 < len(stages):
            x = x.t().contiguous()
    return _ImageFeatures.apply(x, stages[-1])


def _at_each_cell(
    convolution: nn.Conv2d, after: Iterable[nn.Module], x: Float[Tensor, "input inputs"], cells: Cells
) -> Float[Tensor, "outputs cell"]:
    """One product for all positions of the convolution in the pooling window of a cell, then the other layers.

    Cells are the last axis of the product, so that a processor takes several at once in what follows.
    """
    window, weight, bias = cells.stage.window, convolution.weight, convolution.bias
    assert bias is not None
    each_bias, laid_out = bias.repeat(window.pool_size**2).unsqueeze(1), _LaidOut.apply(weight, window)
    y = torch.addmm(each_bias, laid_out, _Read.apply(x, cells).t()).view(window.pool_size**2, len(bias), -1)
    for layer in after:
        if isinstance(layer, nn.MaxPool2d):
            y = _Maximum.apply(y)
        elif isinstance(layer, nn.AvgPool2d):
            y = y.mean(0)
        else:
            y = layer(y)
    return y


class _ImageFeatures(torch.autograd.Function):
    """The channels of all cells of each event, as a dense image flattened: those of an empty image, then the lit."""

    @staticmethod
    def forward(ctx: Any, x: Float[Tensor, "channel cell"], cells: Cells) -> Float[Tensor, "event feature"]:
        stage, (offset, row, column) = cells.stage, map(torch.from_numpy, cells.lit)
        ctx.kind = torch.from_numpy((stage.kinds[:, None] * stage.num_kinds + stage.kinds).ravel())
        ctx.feature = row * stage.num_cells + column + torch.arange(len(x)).unsqueeze(1) * len(ctx.kind)
        dark = x.index_select(1, ctx.kind).view(-1)
        event = torch.repeat_interleave(offset.diff(), output_size=len(row))
        ctx.place = ctx.feature.add(event, alpha=len(dark)).view(-1)
        lit = x[:, stage.num_kinds**2 :].reshape(-1)
        return dark.repeat(len(offset) - 1).scatter_(0, ctx.place, lit).view(-1, len(dark))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        of_lit = gradient.reshape(-1).index_select(0, ctx.place)
        of_dark = gradient.sum(0) - torch.bincount(ctx.feature.view(-1), of_lit, gradient.shape[1]).to(of_lit.dtype)
        of_kinds = of_lit.new_zeros(len(ctx.feature), int(ctx.kind.max()) + 1)
        of_kinds.index_add_(1, ctx.kind, of_dark.view(len(ctx.feature), -1))
        return torch.cat([of_kinds, of_lit.view_as(ctx.feature)], dim=1), None


class _Read(torch.autograd.Function):
    """The channels of all inputs that a cell sees, side by side; in the backward pass a sum over the uses of each."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, cells: Cells) -> Tensor:
        ctx.cells = cells
        padded = torch.cat([x.new_zeros(1, x.shape[1]), x])
        return _rows(padded, cells.reads.view(-1)).view(len(cells.reads), -1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        rows = gradient.reshape(ctx.cells.reads.numel(), -1)
        of_inputs = [
            functional.embedding_bag(uses, rows, begin, mode="sum", include_last_offset=True)
            for uses, begin in (ctx.cells.dark_uses(), ctx.cells.uses)
        ]
        return torch.cat(of_inputs), None


def _rows(x: Float[Tensor, "row channel"], index: Int[Tensor, " place"]) -> Float[Tensor, "place channel"]:
    """The rows of these indices. A row of 4, 8 or 16 bytes is taken as one number, three times as fast."""
    wide = {4: torch.int32, 8: torch.int64, 16: torch.complex128}.get(x.shape[1] * x.element_size())
    if wide is None:
        return x.index_select(0, index)
    return x.view(wide).view(-1).index_select(0, index).unsqueeze(1).view(x.dtype)


class _LaidOut(torch.autograd.Function):
    """The kernel of a convolution at each position of the pooling window: the matrix (position output, seen input)."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, window: Window) -> Tensor:
        ctx.layout = shape, _ = _layout(weight, window)
        laid_out = weight.new_zeros(prod(shape[:3]), window.reach**2 * shape[-1])
        laid_out.as_strided(*ctx.layout).copy_(weight.permute(0, 2, 3, 1))
        return laid_out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient.contiguous().as_strided(*ctx.layout).sum((0, 1)).permute(0, 3, 1, 2), None


def _layout(weight: Float[Tensor, "output input row column"], window: Window) -> tuple[tuple[int, ...], ...]:
    """Sizes and steps in the matrix: row and column of a position, output, row and column of the kernel, input."""
    outputs, inputs, size, _ = weight.shape
    row, output = window.reach * inputs, window.reach**2 * inputs
    position, shift = outputs * output, (window.stride * row, window.stride * inputs)
    sizes = window.pool_size, window.pool_size, outputs, size, size, inputs
    return sizes, (window.pool_size * position + shift[0], position + shift[1], output, row, inputs, 1)


class _Maximum(torch.autograd.Function):
    """The maximum over the first axis. The gradient goes to one of equal numbers.

    It halves the axis again and again, and notes as a number whether the upper half was larger: ten times as fast as
    torch's own maximum of a few numbers with its gradient.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.shape, ctx.halvings = x.shape, []
        while (number := len(x)) > 1:
            lower, upper, rest = x.split([number // 2, number // 2, number % 2])
            ctx.halvings.append((number, torch.gt(upper, lower, out=torch.empty_like(upper))))
            larger = torch.maximum(lower, upper)
            x = torch.cat([larger, rest]) if number % 2 else larger
        return x.squeeze(0)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        of_x = gradient.new_empty(ctx.shape)
        of_x[0] = gradient
        for number, upper_is_larger in reversed(ctx.halvings):
            half = number // 2
            if number % 2:
                of_x[number - 1] = of_x[half]
            torch.mul(of_x[:half], upper_is_larger, out=of_x[half : 2 * half])
            of_x[:half] -= of_x[half : 2 * half]
        return of_x
