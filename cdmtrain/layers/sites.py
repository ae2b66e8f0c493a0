"""Which sites of a sparse convolution feed which, found once for all layers of a resolution.

On a GPU all tables come from lookups in a dense grid of the batch's images, and their shapes depend only on the numbers
of hits and events. Merging the hits of a coarser pixel makes it wait for the number of sites, once for each halving. A
CPU looks into the grid of one image after another, which its cache holds.
"""

from typing import NamedTuple, no_type_check

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from cdmtrain.batch import LitPixels
from cdmtrain.compiled import jit
from cdmtrain.layers.pair_lists import PairLists, pair_lists

Table = Int[Tensor, "_site _element"]


class KernelMap(NamedTuple):
    """The sites that a kernel joins: its element k leads from source_of[t, k] to t, and from s to target_of[s, k].

    Where there is none, `source_of` holds the number of sources and `target_of` that of targets.
    """

    source_of: Int[Tensor, "target element"]
    target_of: Int[Tensor, "source element"]
    pairs: PairLists | None  # the same joins as lists, if a CPU computes


class Stage(NamedTuple):
    """The sites of a batch at one resolution, in the order of their first hits."""

    offset: Int[Tensor, " event_plus_1"]  # sites of event i are offset[i] : offset[i + 1]
    neighbours: KernelMap  # of a 3 x 3 kernel: element 3 (a + 1) + b + 1 leads from (row + a, column + b) to a site
    down: KernelMap | None  # of a 2 x 2 kernel of stride 2: element 2 a + b leads here from (2 row + a, 2 column + b)
    once: Float[Tensor, "site 1"] | None  # 1 for the first of equal rows and 0 for the others; None: each row is a site


@torch.compiler.disable  # the numbers of sites depend on the events; the compiler fuses all that follows
def find_stages(hits: LitPixels, number: int, *, merge: bool = True, pairs: bool = False) -> list[Stage]:
    """The sites of each stage, at half the resolution of the one before. The hits of an event may come in any order.

    A pixel is lit at half the resolution if any of its four was.

    Args:
        hits: the sites of the first stage.
        number: of stages.
        merge: give each site one row. Otherwise each stage has a row for every hit, equal for the hits of a site: all
            shapes are known beforehand, which an exported network needs, but gradients are wrong.
        pairs: also list the pairs of sites that are joined, on a CPU and with `merge`.
    """
    if pairs:
        return _find_on_cpu(hits, number)
    margin = 2 ** (number - 1)  # dark pixels above and to the left of each image: one in the last stage
    width = margin * -(-(hits.image_size + margin) // margin)
    position = torch.stack([hits.event * width + hits.row, hits.column]) + margin  # line and column of stacked images
    offset, here = hits.offset, torch.arange(hits.pixel.shape[0], device=hits.pixel.device, dtype=torch.int32)
    first, stages, down = here, list[Stage](), None
    nine = torch.arange(9, device=here.device)
    around, corner = torch.stack([nine // 3, nine % 3]) - 1, nine[:4]
    block = 4 + corner + corner // 2  # columns of a site's table, where it is the upper left pixel of its block
    while True:
        table = _neighbours(position, around, first, width=width, lines=(offset.shape[0] - 1) * width + 2)
        once = None if merge else (first == here).unsqueeze(1).float()
        stages.append(Stage(offset, KernelMap(table, table.flip(1), None), down, once))
        if len(stages) == number:
            return stages
        row, column = (position & 1).unsqueeze(2)  # of each site within its block of 2 x 2 pixels
        source_of = table.gather(1, block - 3 * row - column)
        first = parent = source_of.amin(1)
        if merge:
            own = first == here
            kept, parent = own.nonzero().squeeze(1), own.cumsum(0).index_select(0, first) - 1
            source_of, position = source_of.index_select(0, kept), position.index_select(1, kept)
            offset, here = torch.searchsorted(kept, offset), here[: kept.shape[0]]
            first = here
        target_of = torch.where(corner == 2 * row + column, parent.unsqueeze(1), source_of.shape[0])
        down = KernelMap(source_of, target_of, None)
        position, width = position >> 1, width // 2


def _neighbours(
    position: Int[Tensor, "2 site"],
    around: Int[Tensor, "2 9"],
    first: Int[Tensor, " site"],
    *,
    width: int,
    lines: int,
) -> Int[Tensor, "site 9"]:
    """The sites at the nine pixels around each site; the number of sites where a pixel is dark."""
    key, step = (torch.add(column, line, alpha=width) for line, column in (position, around))
    grid = first.new_full((lines * width,), first.shape[0]).scatter_(0, key, first)
    return grid.index_select(0, (key.unsqueeze(1) + step).view(-1)).view(-1, 9)


def _find_on_cpu(hits: LitPixels, number: int) -> list[Stage]:
    offset, pixel = hits.offset.numpy(), hits.pixel.numpy()
    row = pixel // hits.image_size
    sites, size = (offset, row, pixel - row * hits.image_size), hits.image_size
    stages, down = list[Stage](), None
    while True:
        around = torch.from_numpy(_around(*sites, size))
        of_event = torch.from_numpy(sites[0])
        neighbours = KernelMap(around, around.flip(1), pair_lists(around, of_event, of_event))
        stages.append(Stage(of_event, neighbours, down, None))
        if len(stages) == number:
            return stages
        size = (size + 1) // 2
        *sites, source_of, target_of = _halved(*sites, size)
        tables = torch.from_numpy(source_of), torch.from_numpy(target_of)
        down = KernelMap(*tables, pair_lists(tables[0], of_event, torch.from_numpy(sites[0])))


@jit
@no_type_check  # numba knows the types
def _around(offset, row, column, size):
    """The sites at the nine pixels around each site; the number of sites where a pixel is dark."""
    dark, width = len(row), size + 2
    table, grid = np.empty((dark, 9), np.int32), np.full(width * width, dark, np.int32)
    for event in range(len(offset) - 1):
        for site in range(offset[event], offset[event + 1]):
            grid[(row[site] + 1) * width + column[site] + 1] = site
        for site in range(offset[event], offset[event + 1]):
            for element in range(9):
                table[site, element] = grid[(row[site] + element // 3) * width + column[site] + element % 3]
        for site in range(offset[event], offset[event + 1]):
            grid[(row[site] + 1) * width + column[site] + 1] = dark
    return table


@jit
@no_type_check
def _halved(offset, row, column, size):
    """The sites of half the resolution as (offset, row, column), with the tables that lead there and back."""
    fine = len(row)
    coarse_offset, coarse_row, coarse_column = np.zeros_like(offset), np.empty_like(row), np.empty_like(column)
    source_of, parent = np.full((fine, 4), fine, np.int32), np.empty(fine, np.int32)
    grid, number = np.full((size, size), -1, np.int32), 0  # the site of the latest event that lit the pixel
    for event in range(len(offset) - 1):
        for site in range(offset[event], offset[event + 1]):
            r, c = row[site] >> 1, column[site] >> 1
            if grid[r, c] < coarse_offset[event]:
                grid[r, c], coarse_row[number], coarse_column[number] = number, r, c
                number += 1
            parent[site] = grid[r, c]
            source_of[parent[site], 2 * (row[site] & 1) + (column[site] & 1)] = site
        coarse_offset[event + 1] = number
    target_of = np.full((fine, 4), number, np.int32)
    for site in range(fine):
        target_of[site, 2 * (row[site] & 1) + (column[site] & 1)] = parent[site]
    return (
        coarse_offset,
        coarse_row[:number].copy(),
        coarse_column[:number].copy(),
        source_of[:number].copy(),
        target_of,
    )
