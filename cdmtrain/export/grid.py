"""Look up the pixels beside a pixel, in one grid for a batch in which each event has a rectangle of its own."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from cdmtrain.export.events import Hits
from cdmtrain.export.graph import Array


class Grid:
    """Sites and the rectangle of each event, with dark pixels around it.

    Args:
        event, row, column: (site) of each site, counted from the upper left corner of its event's rectangle.
        height, width: (event) rows and columns of the rectangle.
        margin: dark rows above and below it, and dark columns beside it, which two rows share.
    """

    def __init__(self, event: Array, row: Array, column: Array, *, height: Array, width: Array, margin: int) -> None:
        self.graph, self.event, self.row, self.column = event.graph, event, row, column
        self.height, self.width = height, width
        stride = width + margin
        cells = (height + 2 * margin) * stride
        self.total = cells.reduce("Sum", 0, keepdims=True) + 2 * margin
        self._stride = stride.take(event)
        base = cells.cumsum() - cells + 2 * margin
        self.key = base.take(event) + (row + margin) * self._stride + column

    @cached_property
    def number(self) -> Array:
        """How many sites there are, which also stands for no site."""
        return self.event.size()

    @cached_property
    def sites(self) -> Array:
        """(cell) the number of the site minus that of all sites; 0 in a dark cell."""
        sites = self.graph.full([self.total], 0, np.int32)
        return sites.scatter(self.key, (self.graph.arange(self.number) - self.number).cast(np.int32))

    def beside(self, shifts: Sequence[tuple[int, int]]) -> Array:
        """(site, shift) the sites that lie so many rows and columns from each site."""
        rows, columns = (self.graph.constant(np.array(one, np.int64)) for one in zip(*shifts, strict=True))
        cell = (self.key.unsqueeze(1) + columns) + self._stride.unsqueeze(1) * rows
        return self.sites.take(cell).cast(np.int64) + self.number


def grid_of(hits: Hits, margin: int, *, multiple: int = 1) -> Grid:
    """The grid of the hits of a batch.

    Args:
        margin: the largest shift that is looked up.
        multiple: rectangles begin at such rows and columns of the image, and their sides are multiples of it.
    """
    last = hits.image_size - 1
    top, left, bottom, right = hits.maxima(last - hits.row, last - hits.column, hits.row, hits.column)
    first_row, first_column = ((last - one) / multiple * multiple for one in (top, left))

    def length(first: Array, end: Array) -> Array:
        return ((end - first).maximum(0) + multiple) / multiple * multiple

    row, column = hits.row - first_row.take(hits.event), hits.column - first_column.take(hits.event)
    height, width = length(first_row, bottom), length(first_column, right)
    return Grid(hits.event, row, column, height=height, width=width, margin=margin)
