"""The hits of a batch of events in a graph, and sums, means and maxima over them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from cdmtrain.export.graph import Array, Graph

ROWS_AT_A_TIME = 16  # that a step of a reduction joins


@dataclass(frozen=True)
class Segments:
    """Rows that belong to events, event by event: hits, sites, patches or nodes.

    `most` is the greatest number of rows that an event can have.
    """

    event: Array  # (row) which event each row belongs to, ascending
    num_events: Array
    most: int

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

    @cached_property
    def rank(self) -> Array:
        """(row) the number of each row within its event."""
        return self.graph.arange(self.event.size()) - self.first.take(self.event)

    def sums(self, *columns: Array) -> list[Array]:
        """Sums over the rows of each event, added one after the other as in training. For few columns: slow."""
        return [self.graph.full([self.num_events], 0, one.dtype).add_all_at(self.event, one) for one in columns]

    def maxima(self, *columns: Array) -> list[Array]:
        """Maxima of each event, 0 without a row. For few columns."""
        return [self.graph.full([self.num_events], 0, one.dtype).add_all_at(self.event, one, "max") for one in columns]

    @cached_property
    def _steps(self) -> tuple[list[tuple[Array, Array]], Array]:
        """For each step of a reduction the rows that it joins and which of them count; at last the row of each event.

        A step joins up to 16 neighbouring rows of an event; where there are fewer, the last of them is repeated and
        does not count in a sum. The row of an event without rows is the one after the last. To add at an index, as
        training does, is slow in onnxruntime for wide rows, and wrong where several threads add to one place.
        """
        graph, steps = self.graph, []
        segments, most = self, self.most
        while most > 1:
            (begin,) = (segments.rank % ROWS_AT_A_TIME).equals(0).nonzero()
            event = segments.event.take(begin)
            end = (segments.first + segments.num_rows).take(event).unsqueeze(1)
            row = begin.unsqueeze(1) + graph.constant(np.arange(ROWS_AT_A_TIME))
            steps.append((row.minimum(end - 1), (row < end).float()))
            most = -(-most // ROWS_AT_A_TIME)
            segments = Segments(event, self.num_events, most)
        return steps, graph.where(segments.num_rows > 0, segments.first, segments.event.size())

    def sum(self, x: Array, *, weight: Array | None = None, index: Array | None = None) -> Array:
        """(event, column) the sum of weight times x, or of weight times x[index], over the rows of each event."""
        steps, row_of_event = self._steps
        for rows, counts in steps:
            if weight is not None:
                counts = counts * weight.take(rows)
            of_rows = x.take(rows if index is None else index.take(rows))
            x = (counts.unsqueeze(1) @ of_rows).reduce("Sum", 1)
            weight = index = None
        return self._of_events(x, row_of_event, 0.0)

    def max(self, x: Array, *, nothing: float = 0.0) -> Array:
        """(event, column) the maximum over the rows of each event; `nothing` without a row."""
        steps, row_of_event = self._steps
        for rows, _ in steps:
            x = x.take(rows).reduce("Max", 1)
        return self._of_events(x, row_of_event, nothing)

    def _of_events(self, x: Array, row_of_event: Array, nothing: float) -> Array:
        return self.graph.concat([x, self.graph.full([1, x.size(1)], nothing)]).take(row_of_event)

    def mean(self, x: Array, *, weight: Array | None = None) -> Array:
        """(event, column) the sum of weight times x divided by the number of rows; 0 without a row."""
        return self.sum(x, weight=weight) / self.num_rows.float().maximum(1).unsqueeze(1)

    def padded(self, index: Array | None = None) -> tuple[Array, Array]:
        """Rows of each event side by side (event, rank), the number of rows where there is none; and which there are.

        Args:
            index: of the events that are wanted; None for all.
        """
        first, number = self.first, self.num_rows
        if index is not None:
            first, number = first.take(index), number.take(index)
        longest = self.graph.concat([number, self.graph.constant(np.array([1], np.int64))]).reduce("Max", 0)
        rank = self.graph.arange(longest).unsqueeze(0)
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


def hits_of_arrays(event: Array, pixel: Array, energy: Array, num_events: Array, image_size: int) -> Hits:
    """Hits that may come in any order; they are sorted if they are not."""
    graph, key = event.graph, event * image_size**2 + pixel
    number = key.size()
    descents = (key.rows(1, number) < key.rows(0, number - 1)).cast(np.int64)
    ascending = graph.concat([descents, graph.constant(np.array([0], np.int64))]).reduce("Max", 0).equals(0)
    order = graph.either(ascending, lambda: graph.arange(number), lambda: graph.sort(key))
    return Hits(event, num_events, image_size**2, pixel, energy, image_size).take(order)


def hits_of_image(image: Array, image_size: int) -> Hits:
    """The pixels of dense images (event, row, column) that are not zero."""
    flat = image.reshape(-1)
    (place,) = flat.nonzero()
    square = image_size**2
    return Hits(place / square, image.size(), square, place % square, flat.take(place), image_size)


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
