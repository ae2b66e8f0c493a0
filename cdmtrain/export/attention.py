"""Attention among the rows of each event, in groups of events of similar length."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from cdmtrain.export.control import either, in_blocks
from cdmtrain.export.events import Segments
from cdmtrain.export.graph import Array

LOWEST = -1e30
MOST_WEIGHTS = 2**22  # of one head in memory at once


@dataclass(frozen=True)
class Group:
    """Some events with their rows side by side."""

    index: Array  # (event of the group) which events
    table: Array  # (event of the group, rank) the row; where there is none, the number of rows
    mask: Array  # (event of the group, rank) where there is a row


def groups_of(segments: Segments, number: int) -> tuple[list[Group], Array]:
    """Cut events into groups of similar length, the longest event by itself; and which place each event has in them."""
    graph = segments.graph
    order = graph.sort(segments.num_rows)
    shared = segments.num_events - 1
    bounds = [shared * part / number for part in range(number + 1)] + [segments.num_events]
    groups = []
    for first, end in pairwise(bounds):
        index = order.rows(first, end)
        groups.append(Group(index, *segments.padded(index)))
    return groups, graph.full([segments.num_events], 0, np.int64).scatter(order, graph.arange(segments.num_events))


class Attention:
    """softmax(Q K^T / sqrt(d)) V among the rows of each event.

    Args:
        segments: the rows.
        tokens: the first rows of x belong to the events, one each, and attend and are attended to as the others.
        num_groups: of events of similar length, which are padded to the longest of the group.
    """

    def __init__(self, segments: Segments, *, tokens: bool, num_groups: int = 8) -> None:
        self.graph = graph = segments.graph
        self.masks, self.tables, places = list[Array](), list[Array](), list[Array]()
        groups, self.place = groups_of(segments, num_groups)
        begin = graph.shape(0)
        num_rows = segments.event.size() + segments.num_events if tokens else segments.event.size()
        inverse = graph.full([num_rows + 1], 0, np.int64)
        for group in groups:
            table, mask = group.table, group.mask
            if tokens:
                own = group.index.unsqueeze(1)
                table = graph.concat([own, table + segments.num_events], 1)
                mask = graph.concat([own >= 0, mask], 1)
            self.masks.append(mask)
            self.tables.append(table)
            (valid,) = mask.reshape(-1).nonzero()
            places.append(valid + begin)
            inverse = inverse.scatter(table.reshape(-1).take(valid), valid + begin)
            begin = begin + mask.size(0) * mask.size(1)
        self.inverse = inverse.rows(0, num_rows)

    def __call__(self, query_key_value: Array, width: int, heads: int) -> Array:
        """(row, width) from (row, 3 width): queries, keys and values, each head by head."""
        results = []
        for events, length, query, key, value, missing in self._groups(query_key_value, width, heads):
            attended = _attended(query, key, value, missing, events, length)
            results.append(attended.transpose(1, 0, 2, 3).reshape(events * length, width))
        return self.graph.concat(results).take(self.inverse)

    def of_tokens(self, query_key_value: Array, width: int, heads: int) -> Array:
        """(event, width) from (row, 3 width): what the token of each event attends to."""
        results = []
        for events, _, query, key, value, missing in self._groups(query_key_value, width, heads):
            attended = _attend(query.part(0, 1, axis=2), key, value, missing)
            results.append(attended.reshape(events, width))
        return self.graph.concat(results).take(self.place)

    def _groups(self, query_key_value: Array, width: int, heads: int) -> Iterator[tuple[Array, ...]]:
        """For each group its events, their length, queries, keys, values, and what is added where there is no row."""
        graph = self.graph
        padded = graph.concat([query_key_value, graph.constant(np.zeros((1, 3 * width), np.float32))])
        for table, mask in zip(self.tables, self.masks, strict=True):
            events, length = table.size(0), table.size(1)
            shape = events, length, 3, heads, width // heads
            parts = padded.take(table).reshape(*shape).transpose(2, 0, 3, 1, 4)
            query, key, value = (parts.take(one) for one in range(3))
            missing = graph.where(mask, 0.0, graph.constant(np.float32(LOWEST))).unsqueeze(1).unsqueeze(1)
            yield events, length, query * (width // heads) ** -0.5, key.transpose(0, 1, 3, 2), value, missing


def _attend(query: Array, key: Array, value: Array, missing: Array) -> Array:
    """Attention (row, event, head, column)."""
    return ((query @ key + missing).apply("Softmax", axis=-1) @ value).transpose(2, 0, 1, 3)


def _attended(query: Array, key: Array, value: Array, missing: Array, events: Array, length: Array) -> Array:
    """The same, in blocks of rows if there are too many weights for the memory."""
    graph = query.graph
    most = (graph.shape(MOST_WEIGHTS) / (events * length).maximum(1)).maximum(1)

    def in_parts() -> Array:
        by_row = query.transpose(2, 0, 1, 3)
        return in_blocks([by_row], most, lambda rows: _attend(rows.transpose(1, 2, 0, 3), key, value, missing))

    return either(length <= most, lambda: [_attend(query, key, value, missing)], lambda: [in_parts()])[0]
