"""Which cells of convolution and pooling can differ from those of an empty image, and what each of them reads.

A cell is one position of the output of a stage, a convolution followed by pooling. To an empty image a stage answers
with few different cells: all that are far from the borders are equal, since they see the same. So the output of a
stage for a whole batch needs these dark cells once, and of each event the cells that can see one of its lit pixels.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple, no_type_check

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from cdmtrain.batch import LitPixels
from cdmtrain.compiled import jit

# What is faster is told by how many numbers are gathered or made, and by products, of which a processor makes 50 in the
# time of a number; a number of a dense image takes 1.25 times as long. With seven networks and 1 to 64 events in one
# image this is the measured ratio of steps within a factor of 1.5 (one core, AMD Zen 4). The lecture's network takes
# 0.08 of the time of its dense form on an event, 0.59 on 16 events in one image, and as long on 50.
PRODUCTS, DENSE = 50, 1.25


class Window(NamedTuple):
    """What a cell sees of each axis of its input, in pixels of that input."""

    kernel_size: int
    stride: int
    padding: int
    pool_size: int
    pool_stride: int

    @property
    def reach(self) -> int:
        """Pixels that a cell sees."""
        return self.stride * (self.pool_size - 1) + self.kernel_size

    @property
    def step(self) -> int:
        """Pixels from one cell to the next."""
        return self.stride * self.pool_stride

    def num_positions(self, size: int) -> int:
        """Positions of the kernel on an input of `size` pixels."""
        return (size + 2 * self.padding - self.kernel_size) // self.stride + 1

    def num_cells(self, size: int) -> int:
        """Cells of an input of `size` pixels; less than 1 if there is none."""
        return (self.num_positions(size) - self.pool_size) // self.pool_stride + 1


class Stage:
    """The cells of one axis of a stage, and those that an empty image makes.

    Two cells of an axis are of one kind if they see the same of an empty image: padding and pixels of the same kinds.
    A cell of the image has a kind of row and a kind of column.

    Args:
        window: of a cell.
        inputs, outputs: channels, for the cost of a lit cell and of a dense image.
        kinds: the kind of each row of the input, which is as its columns; all -1 for the image itself, where dark
            pixels are zero as padding is.
    """

    def __init__(self, window: Window, inputs: int, outputs: int, kinds: Int[np.ndarray, " row"]) -> None:
        self.window = window
        self.size = len(kinds)
        self.num_cells = window.num_cells(self.size)
        gathered, made = inputs * window.reach**2, outputs * window.pool_size**2
        self.cost = gathered + made + gathered * made / PRODUCTS  # of a cell
        made = outputs * window.num_positions(self.size) ** 2
        self.dense_cost = made * (DENSE + inputs * window.kernel_size**2 / PRODUCTS)  # of an image
        reach, step, padding = window.reach, window.step, window.padding
        length = max(self.size + 2 * padding, (self.num_cells - 1) * step + reach)
        seen = np.full(length, -1)
        seen[padding : padding + self.size] = kinds
        starts = step * np.arange(self.num_cells)
        distinct: dict[bytes, int] = {}
        self.kinds = np.array([distinct.setdefault(seen[i : i + reach].tobytes(), len(distinct)) for i in starts])
        self.num_kinds = len(distinct)
        self.num_inputs = (kinds.max() + 1) ** 2  # dark pixels that differ
        dark = 1 + seen[:, None] * (kinds.max() + 1) + seen
        self.dark = np.where((seen[:, None] < 0) | (seen < 0), 0, dark).astype(np.int32)  # row of each pixel's number
        self.commonest = int(self.dark[length // 2, length // 2])
        position = np.arange(self.size) + padding
        self.first = np.maximum(-((reach - 1 - position) // step), 0).astype(np.int32)  # cell that sees a pixel
        self.last = np.minimum(position // step, self.num_cells - 1).astype(np.int32)
        first_of_kind = np.array([starts[self.kinds == kind][0] for kind in range(self.num_kinds)], np.int32)
        rows, columns = np.repeat(first_of_kind, self.num_kinds), np.tile(first_of_kind, self.num_kinds)
        inside = np.arange(reach)
        lines, places = rows[:, None, None] + inside[:, None], columns[:, None, None] + inside
        self.dark_reads = self.dark[lines, places].reshape(-1, reach**2)


class Cells(NamedTuple):
    """The cells of a stage: those of an empty image, kind by kind, then the lit ones, event by event.

    Inputs have numbers: 0 is padding, then come the cells of the stage before in their order.
    """

    reads: Int[Tensor, "cell pixel"]  # the number of each input that a cell sees, row by row
    uses: tuple[Int[Tensor, " use"], Int[Tensor, " lit_input_plus_1"]]  # places in `reads` of each lit input's number
    stage: Stage
    lit: tuple[
        np.ndarray, np.ndarray, np.ndarray
    ]  # offset, row, column: those of event i are offset[i] : offset[i + 1]

    def dark_uses(self) -> tuple[Int[Tensor, " use"], Int[Tensor, " dark_input_plus_1"]]:
        """The places in `reads` of the number of each dark input, and where those of each begin."""
        reads = self.reads.view(-1).numpy()
        uses, begin = _uses_of_dark(reads, self.stage.num_inputs, self.stage.commonest)
        return torch.from_numpy(uses), torch.from_numpy(begin)


def make_stages(image_size: int, window: Window, channels: Sequence[int]) -> list[Stage]:
    """Stages of this window and these channels, one after the other."""
    stages, kinds = list[Stage](), np.full(image_size, -1)
    for inputs, outputs in pairwise([1, *channels]):
        stages.append(Stage(window, inputs, outputs, kinds))
        kinds = stages[-1].kinds
    return stages


def find_cells(stages: list[Stage], hits: LitPixels) -> list[Cells] | None:
    """The cells of each stage, on a CPU; None where the dense network is faster.

    The hits of an event may come in any order.
    """
    offset, pixel = hits.offset.numpy(), hits.pixel.numpy()
    row = pixel // hits.image_size  # by numpy, ten times as fast as by torch
    column = pixel - row * hits.image_size
    found, cost = list[Cells](), (len(offset) - 1) * sum(stage.dense_cost for stage in stages)
    for stage in stages:
        window, num_dark = stage.window, len(stage.dark_reads)
        place = (stage.first, stage.last, window.step, window.padding, window.reach, num_dark)
        cells, uses, begin = _lit_cells(offset, row, column, stage.num_cells, *place)
        cost -= stage.cost * len(cells[1])
        if cost < 0:
            return None
        reads = _reads(offset, row, column, *cells, stage.dark, stage.dark_reads, stage.num_inputs, *place)
        of_lit = torch.from_numpy(uses), torch.from_numpy(begin)
        found.append(Cells(torch.from_numpy(reads), of_lit, stage, cells))
        offset, row, column = cells
    return found


@jit
@no_type_check  # numba knows the types
def _lit_cells(offset, row, column, num_cells, first, last, step, padding, reach, num_dark):
    """The lit cells as (offset, row, column), and the places in `reads` of each input with where those begin."""
    begin = np.zeros(len(row) + 1, np.int32)
    for i in range(len(row)):
        rows, columns = last[row[i]] - first[row[i]] + 1, last[column[i]] - first[column[i]] + 1
        begin[i + 1] = begin[i] + max(rows, 0) * max(columns, 0)
    uses = np.empty(begin[-1], np.int32)
    cell_offset, cell_row, cell_column = np.zeros_like(offset), np.empty_like(uses), np.empty_like(uses)
    latest = np.full((num_cells, num_cells), -1, np.int32)  # cell of the latest event that lit it
    cell = use = 0
    for event in range(len(offset) - 1):
        start = cell
        for i in range(offset[event], offset[event + 1]):
            for r in range(first[row[i]], last[row[i]] + 1):
                line = (row[i] + padding - r * step) * reach + column[i] + padding
                for c in range(first[column[i]], last[column[i]] + 1):
                    if latest[r, c] < start:
                        latest[r, c], cell_row[cell], cell_column[cell] = cell, r, c
                        cell += 1
                    uses[use] = (num_dark + latest[r, c]) * reach * reach + line - c * step
                    use += 1
        cell_offset[event + 1] = cell
    return (cell_offset, cell_row[:cell].copy(), cell_column[:cell].copy()), uses, begin


@jit
@no_type_check
def _reads(
    offset, row, column, cell_offset, cell_row, cell_column, dark, dark_reads, num_inputs,
    first, last, step, padding, reach, num_dark,
):  # fmt: skip
    """The numbers of the inputs that each cell sees."""
    reads = np.empty((num_dark + len(cell_row), reach * reach), np.int32)
    reads[:num_dark] = dark_reads
    width, number = dark.shape[1], dark.copy().ravel()
    around = np.arange(reach * reach) // reach * width + np.arange(reach * reach) % reach
    for event in range(len(offset) - 1):
        for i in range(offset[event], offset[event + 1]):
            number[(row[i] + padding) * width + column[i] + padding] = 1 + num_inputs + i
        for cell in range(cell_offset[event], cell_offset[event + 1]):
            corner = (cell_row[cell] * width + cell_column[cell]) * step
            for pixel in range(reach * reach):
                reads[num_dark + cell, pixel] = number[corner + around[pixel]]
        for i in range(offset[event], offset[event + 1]):
            r, c = row[i] + padding, column[i] + padding
            number[r * width + c] = dark[r, c]
    return reads


@jit
@no_type_check
def _uses_of_dark(reads, num_inputs, commonest):
    """The places of the numbers 1 to `num_inputs`, number by number, and where those of each begin."""
    common, rare, num_common, num_rare = np.empty_like(reads), np.empty_like(reads), 0, 0
    for place in range(len(reads)):
        common[num_common] = place  # written over unless it is one: without a branch
        num_common += reads[place] == commonest
        if 0 < reads[place] <= num_inputs and reads[place] != commonest:
            rare[num_rare] = place
            num_rare += 1
    uses, begin, use = np.empty(num_common + num_rare, np.int32), np.zeros(num_inputs + 1, np.int32), 0
    for number in range(1, num_inputs + 1):
        if number == commonest:
            uses[use : use + num_common] = common[:num_common]
            use += num_common
        else:
            for place in rare[:num_rare]:
                if reads[place] == number:
                    uses[use] = place
                    use += 1
        begin[number] = use
    return uses[:use], begin
