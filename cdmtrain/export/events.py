"""The hits of a batch of events in a graph, and sums, means and maxima over them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from cdmtrain.export.control import either, in_blocks
from cdmtrain.export.graph import Array, Graph

BLOCKS_AT_A_TIME = 32  # of rows, through a function whose results are wide


@dataclass(frozen=True)
class Segments:
    """Rows that belong to events, event by event: hits, sites, patches or nodes."""

    event: Array  # (row) which event each row belongs to, ascending
    num_events: Array

    @property
    def graph(self) -> Graph:
        return self.event.graph

    @cached_property
    def num_rows(self) -> Array:
        """(event) how many rows each event has."""
        zeros = self.graph.full([self.num_events], 0, np.int64)
        ones = self.graph.full([self.event.size()], 1, np.int64)
        return zeros.add_all_at(self.event, ones)

    @cached_property
    def first(self) -> Array:
        """(event) the first row of each event."""
        return self.num_rows.cumsum() - self.num_rows

    def sums(self, *columns: Array) -> list[Array]:
        """Sums over the rows of each event, added one after the other as in training. For few columns: slow."""
        return [self.graph.full([self.num_events], 0, one.dtype).add_all_at(self.event, one) for one in columns]

    def maxima(self, *columns: Array) -> list[Array]:
        """Maxima of each event, 0 without a row. For few columns."""
        return [self.graph.full([self.num_events], 0, one.dtype).add_all_at(self.event, one, "max") for one in columns]

    @cached_property
    def _tables(self) -> tuple[Array, Array, Array, Array]:
        """The rows that make a block and the blocks that make an event, each with what counts in a sum.

        A block joins neighbouring rows of an event, about as many as the longest event has blocks. Where there are
        fewer, the last is repeated and does not count. An event without rows has the block after the last. To add at
        an index, as training does, is slow in onnxruntime for wide rows, and wrong where several threads add to one
        place.
        """
        graph = self.graph
        side = self.num_rows.largest(1).float().apply("Sqrt").cast(np.int64) + 1
        num_blocks = (self.num_rows + (side - 1)) / side
        first_block = num_blocks.cumsum() - num_blocks
        total, inside = num_blocks.reduce("Sum", 0, keepdims=True), graph.arange(side)
        begins = graph.full([total + 1], 0, np.int64).add_all_at(
            first_block, graph.full([self.num_events], 1, np.int64)
        )
        event = begins.cumsum().rows(0, total) - 1
        begin = self.first.take(event) + (graph.arange(total) - first_block.take(event)) * side
        row, end = begin.unsqueeze(1) + inside, (self.first + self.num_rows).take(event).unsqueeze(1)
        block, last = first_block.unsqueeze(1) + inside, (first_block + num_blocks).unsqueeze(1)
        block_of_event = graph.where(last > first_block.unsqueeze(1), block.minimum(last - 1), total)
        return row.minimum(end - 1), (row < end).float(), block_of_event, (block < last).float()

    def sum(self, x: Array, *, weight: Array | None = None, index: Array | None = None) -> Array:
        """(event, column) the sum of weight times x, or of weight times x[index], over the rows of each event."""
        rows, counts, *_ = self._tables
        if weight is not None:
            counts = counts * weight.take(rows)
        return self._sum_of_blocks(weighted_sum(counts, x.take(rows if index is None else index.take(rows))))

    def sum_of(self, function: Callable[[Array], Array], x: Array, *, weight: Array) -> Array:
        """(event, column) the sum of weight times function(x), which is computed in parts that stay in the cache."""
        rows, counts, *_ = self._tables
        x, side = self._with_nothing(x, 0.0), rows.size(1)
        width = x.size(1)

        def part(rows: Array, counts: Array) -> Array:
            return weighted_sum(counts, function(x.take(rows).reshape(-1, width)).with_first_axes(1, -1, side))

        return self._sum_of_blocks(in_blocks([rows, counts * weight.take(rows)], BLOCKS_AT_A_TIME, part))

    def _sum_of_blocks(self, x: Array) -> Array:
        _, _, blocks, counts = self._tables
        return weighted_sum(counts, self._with_nothing(x, 0.0).take(blocks))

    def max(self, x: Array, *, nothing: float = 0.0) -> Array:
        """(event, column) the maximum over the rows of each event; `nothing` without a row."""
        rows, _, blocks, _ = self._tables
        return self._with_nothing(x.take(rows).reduce("Max", 1), nothing).take(blocks).reduce("Max", 1)

    def _with_nothing(self, x: Array, nothing: float) -> Array:
        return self.graph.concat([x, self.graph.full([1, x.size(1)], nothing)])

    def mean(self, x: Array) -> Array:
        """(event, column) the mean over the rows of each event; 0 without a row."""
        return self.sum(x) / self.at_least_one

    @property
    def at_least_one(self) -> Array:
        """(event, 1) the number of rows of each event, 1 without a row."""
        return self.num_rows.float().maximum(1).unsqueeze(1)

    def padded(self, index: Array | None = None, *, least: int = 1) -> tuple[Array, Array]:
        """Rows of each event side by side (event, rank), the number of rows where there is none; and which there are.

        Args:
            index: of the events that are wanted; None for all.
            least: ranks that there are at least.
        """
        first, number = self.first, self.num_rows
        if index is not None:
            first, number = first.take(index), number.take(index)
        rank = self.graph.arange(number.largest(least)).unsqueeze(0)
        mask = rank < number.unsqueeze(1)
        return self.graph.where(mask, first.unsqueeze(1) + rank, self.event.size()), mask


@dataclass(frozen=True)
class Hits(Segments):
    """Lit pixels, in the order of their events and, within an event, of their numbers."""

    pixel: Array  # (hit) row * image_size + column
    energy: Array  # (hit) MeV, or on the representation's scale
    image_size: int

    @cached_property
    def row(self) -> Array:
        return self.pixel / self.image_size

    @cached_property
    def column(self) -> Array:
        return self.pixel % self.image_size

    def take(self, index: Array) -> Hits:
        """Some of the hits, or all in another order within their events."""
        event, pixel, energy = (one.take(index) for one in (self.event, self.pixel, self.energy))
        return replace(self, event=event, pixel=pixel, energy=energy)

    def with_energy(self, energy: Array) -> Hits:
        return replace(self, energy=energy)

    def sorted_by(self, value: Array) -> Hits:
        """The hits by event, then by value, then in the order they have."""
        order = self.graph.sort(value)
        return self.take(order.take(self.graph.sort(self.event.take(order))))

    def image(self) -> Array:
        """(event, 1, row, column), zero where there is no hit."""
        graph, size = self.graph, self.image_size
        dark = graph.full([self.num_events * size**2], 0.0)
        lit = dark.scatter(self.event * size**2 + self.pixel, self.energy)
        return lit.reshape(-1, 1, size, size)


def weighted_sum(weight: Array, x: Array) -> Array:
    """(group, column) from weight (group, row) and x (group, row, column)."""
    return (weight.unsqueeze(1) @ x).squeeze(1)


def hits_of_arrays(event: Array, pixel: Array, energy: Array, num_events: Array, image_size: int) -> Hits:
    """Hits that may come in any order; they are sorted if they are not."""
    graph, key = event.graph, event * image_size**2 + pixel
    number = key.size()
    descents = (key.rows(1, number) < key.rows(0, number - 1)).cast(np.int64)
    ascending = descents.largest(0).equals(0)
    given = (event, pixel, energy)

    def in_order() -> list[Array]:
        order = graph.sort(key)
        return [one.take(order) for one in given]

    event, pixel, energy = either(ascending, lambda: given, in_order)
    return Hits(event, num_events, pixel, energy, image_size)


def hits_of_image(image: Array, image_size: int) -> Hits:
    """The pixels of dense images (event, row, column) that are not zero."""
    flat = image.reshape(-1)
    (place,) = flat.nonzero()
    square = image_size**2
    return Hits(place / square, image.size(), place % square, flat.take(place), image_size)


def turned(hits: Hits) -> Hits:
    """The eight views of each event, one batch of them after the other; the first is the event itself."""
    graph, views = hits.graph, list[Any]()
    last = hits.image_size - 1
    for number in range(8):
        row = last - hits.row if number & 2 else hits.row
        column = last - hits.column if number & 1 else hits.column
        row, column = (column, row) if number & 4 else (row, column)
        views.append((hits.event + hits.num_events * number, row * hits.image_size + column))
    event, pixel = (graph.concat(list(parts)) for parts in zip(*views, strict=True))
    energy = graph.concat([hits.energy] * 8)
    return hits_of_arrays(event, pixel, energy, hits.num_events * 8, hits.image_size)
