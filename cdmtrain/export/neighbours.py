"""Neighbours of pixels in a graph: a table of sources for each pixel, from which sums over neighbours are taken."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from cdmtrain.export.events import Hits
from cdmtrain.export.graph import Array, Graph
from cdmtrain.export.grid import grid_of
from cdmtrain.export.layers import NotTranslatedError
from cdmtrain.representation import neighbours

LOWEST = -3e38  # less than any number that is computed with
SURE_RADIUS = 4  # pixels around a pixel that are looked up one by one for its nearest ones


@dataclass(frozen=True)
class Neighbours:
    """For each node, the nodes that an edge leads from; the number of nodes where there is none."""

    table: Array  # (node, neighbour)

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
        nothing = self.graph.op("Expand", number, (self.table.size() * self.table.size(1)).reshape(1))
        return nothing.scatter(self._places, self.graph.arange(number)).reshape(self.table.size(), self.table.size(1))

    def with_self(self) -> Neighbours:
        """With an edge from each node to itself."""
        own = self.graph.arange(self.table.size()).unsqueeze(1)
        return Neighbours(self.graph.concat([self.table, own], 1))

    def of_sources(self, x: Array, *, nothing: float = 0.0) -> Array:
        """(node, neighbour, feature) the features of the sources."""
        return self.graph.concat([x, self.graph.full([1, x.size(1)], nothing)]).take(self.table)

    def of_edges(self, e: Array, how: str) -> Array:
        """(node, feature) sum, mean or max over the edges to each node; 0 without an edge."""
        nothing = LOWEST if how == "max" else 0.0
        padded = self.graph.concat([e, self.graph.full([1, e.size(1)], nothing)]).take(self._edge_of)
        if how == "max":
            return self.graph.where(self.counts > 0, padded.reduce("Max", 1), 0.0)
        total = padded.reduce("Sum", 1)
        return total / self.counts.maximum(1) if how == "mean" else total


def neighbours_of(how: Any, hits: Hits) -> Neighbours:
    """The neighbours of each hit by a definition of `representation.neighbours`."""
    if type(how) in (neighbours.FourNeighbours, neighbours.EightNeighbours):
        shifts = [*how.shifts, *((-row, -column) for row, column in how.shifts)]
        return Neighbours(grid_of(hits, 1).beside(shifts))
    if type(how) is neighbours.RadiusNeighbours:
        return Neighbours(grid_of(hits, int(how.radius_px)).beside(disc(how.radius_px)))
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
    table = graph.op("Expand", number, (number * k).reshape(1)).scatter(slot, near.reshape(-1).take(chosen))
    table = table.reshape(-1, k)
    found = valid.cast(np.int64).reduce("Sum", 1)
    (unsure,) = (found < (hits.num_rows.take(hits.event) - 1).minimum(k)).nonzero()
    return Neighbours(table.scatter(unsure, _nearest_of_all(hits, unsure, k)))


def _nearest_of_all(hits: Hits, chosen: Array, k: int) -> Array:
    """(chosen, k) the nearest hits of some hits, among all of their event."""
    graph, number = hits.graph, hits.event.size()
    event = hits.event.take(chosen)
    first, count = hits.first.take(event).unsqueeze(1), hits.num_rows.take(event).unsqueeze(1)
    longest = graph.concat([hits.num_rows.take(event), graph.constant(np.array([k], np.int64))]).reduce("Max", 0)
    rank = graph.arange(longest).unsqueeze(0)
    other = (first + rank).minimum(number - 1)
    rows, columns = (one.take(other) - one.take(chosen).unsqueeze(1) for one in (hits.row, hits.column))
    far = 2 * hits.image_size**2
    valid = (rank < count) & ~other.equals(chosen.unsqueeze(1))
    squared = graph.where(valid, rows * rows + columns * columns, far)
    key = squared * longest + rank
    options = {"axis": 1, "largest": 0, "sorted": 1}
    size = graph.constant(np.array([k], np.int64))
    least, index = graph.ops("TopK", key, size, dtypes=[np.int64, np.int64], **options)
    return graph.where(least < longest * far, first + index, number)
