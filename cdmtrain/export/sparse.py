"""Sparse convolutions in a graph: only pairs of lit pixels are computed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from cdmtrain.export.events import Hits, Segments
from cdmtrain.export.graph import Array
from cdmtrain.export.grid import Grid, grid_of, make_grid
from cdmtrain.layers.sparse_convolution import SparseConvolution

SHIFTS = ((0, 1), (1, -1), (1, 0), (1, 1))  # one of each two opposite ones
Pairs = tuple[Array, Array]


@dataclass(frozen=True)
class Sites:
    """The lit pixels of a batch at one resolution."""

    segments: Segments
    pairs: list[Pairs]  # for each of SHIFTS, the sites (first, second) with second = first + shift
    children: list[Pairs] | None  # for each corner of a block of 2 x 2: (finer site, its site here)


def find_sites(hits: Hits, number: int) -> list[Sites]:
    """The sites of each stage, at half the resolution of the one before."""
    grid, size = grid_of(hits, 1), hits.image_size
    segments: Segments = hits
    stages, children = list[Sites](), None
    for stage in range(number):
        if stage:
            size = -(-size // 2)
            grid, children = coarser(grid, hits.num_events, size)
            segments = Segments(grid.event, hits.num_events)
        stages.append(Sites(segments, pairs_of(grid), children))
    return stages


def pairs_of(grid: Grid) -> list[Pairs]:
    """The sites that lie beside each other, for each of SHIFTS."""
    pairs = []
    for shift in SHIFTS:
        beside = grid.beside([shift]).reshape(-1)
        (first,) = (beside < grid.number).nonzero()
        pairs.append((first, beside.take(first)))
    return pairs


def coarser(grid: Grid, num_events: Array, size: int) -> tuple[Grid, list[Pairs]]:
    """The grid at half the resolution, of so many rows, and which sites became which, for each corner."""
    graph = grid.graph  # `each` has the coarser site of each site, so several of them are one
    each = make_grid(grid.event, grid.row / 2, grid.column / 2, num_events=num_events, size=size, margin=1)
    lit = graph.full([each.num_cells], False, bool).scatter(each.cell, graph.full([grid.number], True, bool))
    (cells,) = lit.nonzero()
    number = cells.size()
    parent = graph.full([each.num_cells], 0, np.int64).scatter(cells, graph.arange(number)).take(each.cell)
    child = graph.full([number], 0, np.int64).scatter(parent, graph.arange(grid.number))  # any one of them
    corner = grid.row % 2 * 2 + grid.column % 2
    children = []
    for number_of_corner in range(4):
        (fine,) = corner.equals(number_of_corner).nonzero()
        children.append((fine, parent.take(fine)))
    return each.take(child), children


def folded(convolution: SparseConvolution) -> tuple[np.ndarray, np.ndarray]:
    """The weight (element, inputs, outputs) of a convolution with its normalisation, and the bias."""
    scale, shift = norm_of(convolution.norm)
    return convolution.weight.detach().numpy() * scale, shift


def norm_of(norm: nn.BatchNorm1d | nn.BatchNorm2d) -> tuple[np.ndarray, np.ndarray]:
    """Scale and shift of a batch normalisation, computed in double precision."""
    with torch.no_grad():
        assert norm.running_var is not None
        assert norm.running_mean is not None
        scale = (norm.weight.double() if norm.affine else 1.0) / (norm.running_var.double() + norm.eps).sqrt()
        shift = (norm.bias.double() if norm.affine else 0.0) - norm.running_mean.double() * scale
    return scale.float().numpy(), shift.float().numpy()


def submanifold(convolution: Any, x: Array, sites: Sites) -> Array:
    """The 3 x 3 convolution read at the lit pixels, normalised."""
    graph = x.graph
    weight, shift = folded(convolution)
    y = graph.op("Gemm", x, graph.constant(weight[4]), graph.constant(shift))
    for (rows, columns), (first, second) in zip(SHIFTS, sites.pairs, strict=True):
        element = 3 * rows + columns
        y = y.add_at(first, x.take(second) @ graph.constant(weight[4 + element]))
        y = y.add_at(second, x.take(first) @ graph.constant(weight[4 - element]))
    return y


def down(convolution: Any, x: Array, sites: Sites) -> Array:
    """The 2 x 2 convolution of stride 2, normalised."""
    graph = x.graph
    weight, shift = folded(convolution)
    assert sites.children is not None
    shape = graph.shape(sites.segments.event.size(), len(shift))
    y = graph.op("Expand", graph.constant(shift), shape)
    for (fine, coarse), matrix in zip(sites.children, weight, strict=True):
        y = y.add_at(coarse, x.take(fine) @ graph.constant(matrix))
    return y
