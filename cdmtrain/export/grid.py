"""Look up the pixels beside a pixel, in cells that exist only where there may be light."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from cdmtrain.export.events import Hits
from cdmtrain.export.graph import Array, Graph

NOWHERE = -1e6  # the ends of a row without light


@dataclass(frozen=True)
class Grid:
    """Sites, and cells around them: see `make_grid`."""

    event: Array  # (site)
    row: Array  # (site)
    column: Array  # (site)
    line: Array  # (site) the row of the image, counted through all events
    first: Array  # (line) the cell of column 0, if it had one
    num_cells: Array

    @property
    def graph(self) -> Graph:
        return self.event.graph

    @cached_property
    def number(self) -> Array:
        """How many sites there are, which also stands for no site."""
        return self.event.size()

    @cached_property
    def cell(self) -> Array:
        """(site) the cell of each site."""
        return self.first.take(self.line) + self.column

    @cached_property
    def sites(self) -> Array:
        """(cell) the number of the site minus that of all sites; 0 in a dark cell."""
        sites = self.graph.full([self.num_cells], 0, np.int32)
        return sites.scatter(self.cell, (self.graph.arange(self.number) - self.number).cast(np.int32))

    def beside(self, shifts: Sequence[tuple[int, int]]) -> Array:
        """(site, shift) the sites that lie so many rows and columns from each site."""
        rows, columns = (self.graph.constant(np.array(one, np.int64)) for one in zip(*shifts, strict=True))
        cell = self.first.take(self.line.unsqueeze(1) + rows) + (self.column.unsqueeze(1) + columns)
        return self.sites.take(cell).cast(np.int64) + self.number

    def take(self, index: Array) -> Grid:
        """Some of the sites, in the same cells."""
        event, row, column, line = (one.take(index) for one in (self.event, self.row, self.column, self.line))
        return replace(self, event=event, row=row, column=column, line=line)


def make_grid(event: Array, row: Array, column: Array, *, num_events: Array, size: int, margin: int) -> Grid:
    """Make the cells for the sites of a batch, row by row.

    A row has the cells from the first to the last site of itself and of the `margin` rows above and below, and `margin`
    more at each end. So a shift by at most `margin` rows and columns leads from every site to a cell.

    Args:
        event, row, column: (site) where each site is; a place may have several.
        num_events: of the batch.
        size: rows of an image.
        margin: the largest shift that is looked up.
    """
    graph, stride = event.graph, size + margin
    line = event * stride + (row + margin)
    dark = graph.full([num_events * stride + margin], NOWHERE)
    ends = [dark.add_all_at(line, one.float(), "max").unsqueeze(0) for one in (column * -1, column)]
    window = {"kernel_shape": [2 * margin + 1], "pads": [margin, margin]}
    widest = graph.concat(ends).unsqueeze(0).apply("MaxPool", **window).squeeze(0)
    width = (widest.reduce("Sum", 0) + (2 * margin + 1)).maximum(0).cast(np.int64)
    first = width.cumsum() - width + (widest.take(0).cast(np.int64) + margin)
    return Grid(event, row, column, line, first, width.reduce("Sum", 0, keepdims=True))


def grid_of(hits: Hits, margin: int) -> Grid:
    """The grid of the hits of a batch; `margin` is the largest shift that is looked up."""
    event, num_events, size = hits.event, hits.num_events, hits.image_size
    return make_grid(event, hits.row, hits.column, num_events=num_events, size=size, margin=margin)
