"""Residual network of submanifold sparse convolutions (Graham and van der Maaten 2017, arXiv:1706.01307)."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from cdmtrain.batch import Hits

REFERENCE_MEV = 0.1  # of the logarithm of a pixel's energy; the least bright pixels have half of it
EVENT_FEATURES = 12  # of an event as a whole


class SparseResNet(nn.Module):
    """A residual network (He 2015, arXiv:1512.03385, fig. 2) that computes on lit pixels only.

    stem -> blocks of stage 0 -> [down-sampling by 2 -> blocks] of each further stage; of every stage's result the mean
    and max over the sites of an event -> two linear layers. A submanifold convolution has outputs where it has inputs
    and takes every other pixel for zero: it is the dense convolution, read at the lit pixels, at the price of the pairs
    of lit neighbours (3.7 of 9 a pixel). Down-sampling lights a pixel where any of its four was lit.

    A hit enters with ln(1 + E / 0.1 MeV) and its distances to the nearest edge in rows and in columns, ln(1 + d) with
    d in pixels: the box begins at the vertex, so where an image ends means something. Beside them every hit, and the
    last layers, see the event as a whole (`event_features`): a mean over sites forgets how many there were, how far
    they reach and whether an edge was touched.

    Args:
        image_size: rows and columns S of an image.
        channels: of each stage; each has half the resolution of the one before.
        blocks: residual blocks of each stage, two 3 x 3 convolutions each.
        dropout: probability to leave out a pooled feature, in training.
        num_classes: number of logits C.

    Shapes: Hits of B events, energies in MeV (representation/scale=linear) -> (B, C). An event without a hit pools to
    zeros.
    """

    def __init__(
        self, *, image_size: int, channels: Sequence[int], blocks: Sequence[int], dropout: float, num_classes: int = 4
    ) -> None:
        super().__init__()
        if len(channels) != len(blocks) or min([*channels, *blocks], default=0) < 1:
            raise ValueError(
                f"channels={list(channels)} and blocks={list(blocks)}: one number of at least 1 for every stage is "
                "expected in each"
            )
        if image_size <= 2 ** (len(channels) - 2):
            raise ValueError(f"{len(channels)} stages halve a {image_size} x {image_size} image beyond one pixel")
        self.image_size = image_size
        self.stem = SparseConvolution(3 + EVENT_FEATURES, channels[0], kernel_elements=9)
        self.stages = nn.ModuleList(
            nn.ModuleList(ResidualBlock(width) for _ in range(depth))
            for width, depth in zip(channels, blocks, strict=True)
        )
        self.downs = nn.ModuleList(
            SparseConvolution(fine, coarse, kernel_elements=4) for fine, coarse in pairwise(channels)
        )
        self.dropout = nn.Dropout(dropout)
        pooled = 2 * sum(channels) + EVENT_FEATURES
        self.head = nn.Sequential(
            SiteNorm(pooled), nn.Linear(pooled, channels[-1]), nn.ReLU(), nn.Linear(channels[-1], num_classes)
        )

    def forward(self, hits: Hits) -> Float[Tensor, "event class"]:
        event = event_features(hits)
        x = torch.cat([hit_features(hits), event[hits.event]], dim=1)
        sites, hit = sites_of(hits)
        pairs = neighbours(sites)
        x = self.stem(x[hit], pairs).relu()
        pooled = []
        for number, stage in enumerate(self.stages):
            if number > 0:
                sites, down = coarser(sites)
                x = self.downs[number - 1](x, down).relu()
                pairs = neighbours(sites)
            for block in stage:  # type: ignore[attr-defined]
                x = block(x, pairs)
            num_sites = sites.num_in(hits.num_events)
            pooled += [_pooled(x, num_sites, "mean"), _pooled(x, num_sites, "max")]
        features = torch.cat(pooled, dim=1)
        return self.head(torch.cat([self.dropout(features), event.to(features.dtype)], dim=1))


class ResidualBlock(nn.Module):
    """y = ReLU(x + f2(ReLU(f1(x)))), f a submanifold convolution with batch normalisation over sites."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = SparseConvolution(channels, channels, kernel_elements=9)
        self.second = SparseConvolution(channels, channels, kernel_elements=9)

    def forward(self, x: Float[Tensor, "site channel"], pairs: "Pairs") -> Float[Tensor, "site channel"]:
        return (x + self.second(self.first(x, pairs).relu(), pairs)).relu()


class SparseConvolution(nn.Module):
    """y_t = sum over pairs (s, t) of x_s W_k, k the pair's element of the kernel; then normalised.

    Shapes: (N, inputs) -> (M, outputs), N and M the numbers of sites that the pairs join.
    """

    def __init__(self, inputs: int, outputs: int, *, kernel_elements: int) -> None:
        super().__init__()
        deviation = math.sqrt(2 / (kernel_elements * inputs))  # He 2015, arXiv:1502.01852, eq. 10
        self.weight = nn.Parameter(torch.randn(kernel_elements, inputs, outputs) * deviation)
        self.norm = SiteNorm(outputs)

    def forward(self, x: Float[Tensor, "site inputs"], pairs: "Pairs") -> Float[Tensor, "to outputs"]:
        device = x.device.type
        dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else self.weight.dtype
        return self.norm(sparse_convolution(x.to(dtype), self.weight.to(dtype), pairs))


class SiteNorm(nn.BatchNorm1d):
    """Batch normalisation over sites or events; fewer than two have no variance: the running figures normalise them."""

    def forward(self, x: Float[Tensor, "site channel"]) -> Float[Tensor, "site channel"]:
        if self.training and len(x) > 1:
            return super().forward(x)
        return functional.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)


class Sites(NamedTuple):
    """Lit pixels of a batch at one resolution.

    `key` is (event * (S + 1) + row) * (S + 1) + column, ascending: one blank row after each event and one blank column
    after each row, so that a neighbour outside the image has the key of no pixel.
    """

    key: Int[Tensor, " site"]
    image_size: int

    @property
    def stride(self) -> int:
        return self.image_size + 1

    @property
    def row(self) -> Int[Tensor, " site"]:
        return self.key // self.stride % self.stride

    @property
    def column(self) -> Int[Tensor, " site"]:
        return self.key % self.stride

    def num_in(self, num_events: int) -> Int[Tensor, " event"]:
        """Sites of each event."""
        return torch.bincount(self.key // self.stride**2, minlength=num_events)


class Pairs(NamedTuple):
    """Which site feeds which: pair p leads from source[p] to target[p]. Pairs are ordered by element of the kernel."""

    source: Int[Tensor, " pair"]
    target: Int[Tensor, " pair"]
    counts: list[int]  # pairs of each element
    of_source: tuple[Int[Tensor, " pair"], Int[Tensor, " source_plus_1"]]  # pairs by source, where each source's begin
    of_target: tuple[Int[Tensor, " pair"], Int[Tensor, " target_plus_1"]]


def event_features(hits: Hits) -> Float[Tensor, "event feature"]:
    """Twelve figures of each event, each as ln(1 + value): what pools over a neighbourhood cannot tell.

    Number of hits; sum, sum of squares and maximum of the energy in MeV; standard deviation of the hits' places along
    and across the event's principal axis in pixels, weighted by energy and not; distances in pixels from the hits to
    the nearer and the farther edge, in rows and in columns.
    """
    num_hits, energy = hits.offset.diff(), hits.energy
    last = hits.image_size - 1
    place = torch.stack([hits.row, hits.column], dim=1).to(energy.dtype)
    squared = energy * energy
    gap = last - _pooled(torch.cat([place, last - place], dim=1), num_hits, "max")
    nearer, farther = gap.view(-1, 2, 2).aminmax(dim=1)
    figures = [
        num_hits.unsqueeze(1),
        _pooled(torch.stack([energy, squared], dim=1), num_hits, "sum"),
        _pooled(energy.unsqueeze(1), num_hits, "max"),
        *(_spread(place, weight, hits) for weight in (energy, torch.ones_like(energy))),
        nearer,
        farther,
    ]
    return torch.cat(figures, dim=1).log1p()


def _spread(place: Float[Tensor, "hit 2"], weight: Float[Tensor, " hit"], hits: Hits) -> Float[Tensor, "event 2"]:
    """Standard deviation along and across the principal axis: roots of the eigenvalues of the covariance."""
    num_hits, weight = hits.offset.diff(), weight.unsqueeze(1)
    total = _pooled(weight, num_hits, "sum").clamp(min=torch.finfo(weight.dtype).tiny)
    mean = _pooled(weight * place, num_hits, "sum") / total
    away = place - mean[hits.event]
    products = torch.cat([away * away, away[:, :1] * away[:, 1:]], dim=1)
    row, column, mixed = (_pooled(weight * products, num_hits, "sum") / total).unbind(dim=1)
    centre, radius = (row + column) / 2, torch.hypot((row - column) / 2, mixed)
    return torch.stack([centre + radius, centre - radius], dim=1).clamp(min=0).sqrt()


def hit_features(hits: Hits) -> Float[Tensor, "hit 3"]:
    """Energy of each hit and its distances to the nearest edge in rows and in columns, as logarithms."""
    place = torch.stack([hits.row, hits.column], dim=1)
    edge = torch.minimum(place, hits.image_size - 1 - place)
    return torch.cat([(hits.energy / REFERENCE_MEV).log1p().unsqueeze(1), edge.log1p()], dim=1)


@torch.compiler.disable  # numbers of pairs are known as it runs: a compiler fuses what is between
def sites_of(hits: Hits) -> tuple[Sites, Int[Tensor, " site"]]:
    """The sites of the hits, whatever order those of an event are in, and which hit is at each."""
    size = hits.image_size
    key = (hits.event * (size + 1) + hits.row) * (size + 1) + hits.column
    key, hit = key.sort()
    return Sites(key, size), hit


@torch.compiler.disable
def neighbours(sites: Sites) -> Pairs:
    """The pairs of a 3 x 3 kernel: element 3 (a + 1) + b + 1 leads from (row + a, column + b) to (row, column)."""
    key, stride = sites.key, sites.stride
    here = torch.arange(len(key), device=key.device)
    before, after = [], []  # sites joined by the first four elements: upper left, upper, upper right, left neighbour
    place = torch.searchsorted(key, key - stride - 1)
    for step in (-stride - 1, -stride, -stride + 1):  # keys ascend: the next neighbour is here or one place on
        lit = key[place] == key + step
        before.append(place[lit])
        after.append(here[lit])
        place = place + lit
    left = key.diff() == 1
    before.append(here[:-1][left])
    after.append(here[1:][left])
    counts = [len(sites_before) for sites_before in before]
    counts = [*counts, len(key), *reversed(counts)]  # turned round, they are the pairs of the last four
    source = torch.cat([*before, here, *reversed(after)])
    target = torch.cat([*after, here, *reversed(before)])
    order, first = _grouped(target, len(key))
    turned = torch.cat(torch.arange(len(source), device=key.device).split(counts)[::-1])
    return Pairs(source, target, counts, of_source=(turned[order], first), of_target=(order, first))


@torch.compiler.disable
def coarser(sites: Sites) -> tuple[Sites, Pairs]:
    """The sites at half the resolution, and the pairs of a 2 x 2 kernel of stride 2 that lead there."""
    row, column, size = sites.row, sites.column, (sites.image_size + 1) // 2
    event = sites.key // sites.stride**2
    key, target = ((event * (size + 1) + row // 2) * (size + 1) + column // 2).unique(return_inverse=True)
    element, source = (row % 2 * 2 + column % 2).sort(stable=True)
    counts = torch.bincount(element, minlength=4).tolist()
    target = target[source]
    by_source, by_target = _grouped(source, len(source)), _grouped(target, len(key))
    return Sites(key, size), Pairs(source, target, counts, of_source=by_source, of_target=by_target)


def _grouped(site: Int[Tensor, " pair"], num_sites: int) -> tuple[Tensor, Tensor]:
    order = site.int().argsort(stable=True)
    count = torch.bincount(site, minlength=num_sites)
    return order, torch.cat([count.new_zeros(1), count.cumsum(0)])


@torch.compiler.disable
def sparse_convolution(
    x: Float[Tensor, "source inputs"], weight: Float[Tensor, "element inputs outputs"], pairs: Pairs
) -> Float[Tensor, "target outputs"]:
    """y_t = sum over pairs (s, t) of x_s W_k, with k the pair's element of the kernel."""
    return _Convolution.apply(x, weight, pairs)


class _Convolution(torch.autograd.Function):
    """One gather, one product for each element of the kernel, one sum by target; backwards the same way round.

    Keeps its arguments alone for the backward pass. What it needs while it runs is a row for each pair.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, pairs: Pairs) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.pairs = pairs
        return _summed(_products(x.index_select(0, pairs.source), weight, pairs.counts), pairs.of_target)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        (x, weight), pairs = ctx.saved_tensors, ctx.pairs
        by_pair = gradient.contiguous().index_select(0, pairs.target)
        to_x = to_weight = None
        if ctx.needs_input_grad[0]:
            to_x = _summed(_products(by_pair, weight.transpose(1, 2), pairs.counts), pairs.of_source)
        if ctx.needs_input_grad[1]:
            parts = zip(x.index_select(0, pairs.source).split(pairs.counts), by_pair.split(pairs.counts), strict=True)
            to_weight = torch.stack([a.t() @ b for a, b in parts])
        return to_x, to_weight, None


def _products(x: Tensor, weight: Tensor, counts: list[int]) -> Tensor:
    y = x.new_empty(len(x), weight.shape[2])
    for rows, element, out in zip(x.split(counts), weight, y.split(counts), strict=True):
        torch.mm(rows, element, out=out)
    return y


def _summed(rows: Tensor, groups: tuple[Tensor, Tensor]) -> Tensor:
    order, offset = groups
    return functional.embedding_bag(order, rows, offset, mode="sum", include_last_offset=True)


def _pooled(x: Float[Tensor, "site channel"], num_sites: Int[Tensor, " event"], how: str) -> Tensor:
    """Sum, mean or maximum over the sites of each event; 0 where there are none (features are not negative)."""
    x = x.to(torch.promote_types(x.dtype, torch.float32))  # it adds in the type of x: ones in bfloat16 add up to 256
    return torch.segment_reduce(x, how, lengths=num_sites, initial=0)
