"""Neighbours of pixels in a graph: a table of sources for each pixel, from which sums over neighbours are taken."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from cdmtrain.export.control import in_blocks
from cdmtrain.export.events import Hits, weighted_sum
from cdmtrain.export.graph import Array, Graph
from cdmtrain.export.grid import grid_of
from cdmtrain.export.layers import NotTranslatedError, layer
from cdmtrain.layers.pair_linear import PairLinear
from cdmtrain.representation import neighbours

LOWEST = -3e38  # less than any number that is computed with
NODES_AT_A_TIME = 256  # with all their edges
SURE_RADIUS = 4  # pixels around a pixel that are looked up one by one for its nearest ones


@dataclass(frozen=True)
class Neighbours:
    """For each node, the nodes that an edge leads from; the number of nodes where there is none."""

    table: Array  # (node, neighbour)
    mutual: bool = False  # whether for each edge there is one back

    @property
    def graph(self) -> Graph:
        return self.table.graph

    @cached_property
    def valid(self) -> Array:
        """(node, neighbour) where there is an edge."""
        return self.table < self.table.size()

    @cached_property
    def counts(self) -> Array:
        """(node, 1) the number of edges to each node."""
        return self.valid.float().reduce("Sum", 1, keepdims=True)

    @cached_property
    def _places(self) -> Array:
        """(edge) where the edges are in the flattened table."""
        return self.valid.reshape(-1).nonzero()[0]

    @cached_property
    def edges(self) -> tuple[Array, Array]:
        """(edge) the source and the target of each."""
        return self.table.reshape(-1).take(self._places), self._places / self.table.size(1)

    @cached_property
    def _edge_of(self) -> Array:
        """(node, neighbour) the number of each edge, that of all edges where there is none."""
        number = self._places.size()
        nothing = self.graph.op("Expand", number, self.table.size() * self.table.size(1))
        return nothing.scatter(self._places, self.graph.arange(number)).reshape(self.table.size(), self.table.size(1))

    def with_self(self) -> Neighbours:
        """With an edge from each node to itself."""
        own = self.graph.arange(self.table.size()).unsqueeze(1)
        return Neighbours(self.graph.concat([self.table, own], 1))

    def of_sources(self, x: Array) -> Array:
        """(node, neighbour, feature) the features of the sources."""
        return _with_nothing(x).take(self.table)

    def sum_of_sources(self, x: Array) -> Array:
        """(node, feature) the sum of x (node, feature) over the sources of the edges to each node."""
        by_rank = self.table.transpose(1, 0)  # onnxruntime reduces the first axis fast, whatever the others are
        return _with_nothing(x).take(by_rank).reduce("Sum", 0)

    def sum_at_sources(self, x: Array) -> Array:
        """(node) the sum of x (node) over the targets of the edges from each node."""
        if self.mutual:
            return self.sum_of_sources(x.unsqueeze(1)).squeeze(1)
        source, target = self.edges
        return self.graph.full([x.size()], 0.0).add_all_at(source, x.take(target))

    def of_pairs(self, pair: PairLinear, x: Array, function: Callable[[Array], Array], how: str) -> Array:
        """(node, feature) sum, mean or max of function(W [x_i, x_j] + b) over the edges from j to i; 0 without an edge.

        There are many more edges than nodes: they are computed in blocks of nodes that stay in the cache. Where a node
        has fewer neighbours than others, one of them is repeated, which no maximum notices, and counts as 0 in a sum.
        """
        table = self.graph.where(self.valid, self.table, self.table.reduce("Min", 1, keepdims=True))
        target, source = layer(pair.target, x), _with_nothing(layer(pair.source, x))

        width, number = target.size(1), table.size(1)

        def block(table: Array, counts: Array, target: Array) -> Array:
            hidden = source.take(table) + target.unsqueeze(1)
            edges = function(hidden.reshape(-1, width)).with_first_axes(1, -1, number)
            return edges.reduce("Max", 1) if how == "max" else weighted_sum(counts, edges)

        return self._finished(in_blocks([table, self.valid.float(), target], NODES_AT_A_TIME, block), how)

    def of_edges(self, e: Array, how: str) -> Array:
        """(node, feature) sum, mean or max over the edges to each node; 0 without an edge."""
        nothing = LOWEST if how == "max" else 0.0
        padded = _with_nothing(e, nothing).take(self._edge_of)
        return self._finished(padded.reduce("Max" if how == "max" else "Sum", 1), how)

    def _finished(self, reduced: Array, how: str) -> Array:
        """The mean from the sum, and 0 as the maximum of nothing."""
        if how == "max":
            return self.graph.where(self.counts > 0, reduced, 0.0)
        return reduced / self.counts.maximum(1) if how == "mean" else reduced


def _with_nothing(x: Array, nothing: float = 0.0) -> Array:
    """x (row, feature) with one more row, which stands for what is not there."""
    return x.graph.concat([x, x.graph.full([1, x.size(1)], nothing)])


def neighbours_of(how: Any, hits: Hits) -> Neighbours:
    """The neighbours of each hit by a definition of `representation.neighbours`."""
    if type(how) in (neighbours.FourNeighbours, neighbours.EightNeighbours):
        shifts = [*how.shifts, *((-row, -column) for row, column in how.shifts)]
        return Neighbours(grid_of(hits, 1).beside(shifts), mutual=True)
    if type(how) is neighbours.RadiusNeighbours:
        return Neighbours(grid_of(hits, int(how.radius_px)).beside(disc(how.radius_px)), mutual=True)
    if type(how) is neighbours.NearestNeighbours:
        return nearest(hits, how.k)
    raise NotTranslatedError(type(how).__name__)


def disc(radius: float) -> list[tuple[int, int]]:
    """(rows, columns) of all pixels at most so far from a pixel, from near to far; of equal distances row by row."""
    side = range(-int(radius), int(radius) + 1)
    around = [(row, column) for row in side for column in side if 0 < row**2 + column**2 <= radius**2]
    return sorted(around, key=lambda shift: (shift[0] ** 2 + shift[1] ** 2, shift))


def nearest(hits: Hits, k: int) -> Neighbours:
    """The k nearest hits of the event, nearest first; ties go to the smaller pixel number.

    Pixels nearby are looked up in a grid. Hits with fewer than k of them are compared with all hits of their event.
    """
    graph = hits.graph
    shifts = disc(max(SURE_RADIUS, math.ceil(math.sqrt(k / 2))))
    near = grid_of(hits, max(row for row, _ in shifts)).beside(shifts)
    number = hits.event.size()
    valid = near < number
    place = graph.op("CumSum", valid.cast(np.int32), graph.constant(np.array(1, np.int64)))
    (chosen,) = (valid & (place <= k)).reshape(-1).nonzero()
    slot = chosen / len(shifts) * k + (place.reshape(-1).take(chosen).cast(np.int64) - 1)
    table = graph.op("Expand", number, number * k).scatter(slot, near.reshape(-1).take(chosen))
    table = table.reshape(-1, k)
    found = valid.cast(np.int64).reduce("Sum", 1)
    (unsure,) = (found < (hits.num_rows.take(hits.event) - 1).minimum(k)).nonzero()
    return Neighbours(table.scatter(unsure, _nearest_of_all(hits, unsure, k)))


def _nearest_of_all(hits: Hits, chosen: Array, k: int) -> Array:
    """(chosen, k) the nearest hits of some hits, among all of their event."""
    graph, number, event = hits.graph, hits.event.size(), hits.event.take(chosen)
    table, _ = hits.padded(least=k + 1)
    far, squared = 2.0 * hits.image_size**2, list[Array]()
    for place in (hits.row.float(), hits.column.float()):
        padded = graph.concat([place, graph.full([1], far)]).take(table)
        apart = padded.take(event) - place.take(chosen).unsqueeze(1)
        squared.append(apart * apart)
    options = {"axis": 1, "largest": 0, "sorted": 1}  # of equal ones the first
    size = graph.shape(k + 1)  # the first is the hit itself
    least, rank = graph.ops("TopK", squared[0] + squared[1], size, dtypes=[np.float32, np.int64], **options)
    found = graph.where(least < far, hits.first.take(event).unsqueeze(1) + rank, number)
    return found.part(1, k + 1, axis=1)
