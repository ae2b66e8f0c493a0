"""From the images of a source to square images in MeV: plane, scale, threshold, crop, padding; losses are counted."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float32, Int64, Shaped

from cdmtrain.data.hdf5_images import SparseBlock
from cdmtrain.data.hits import nonzero_pixels
from cdmtrain.errors import InputError

Ints = Int64[np.ndarray, " hit"]
Bools = Bool[np.ndarray, " hit"]
Square = Literal["pad", "crop", "refuse"]


@dataclass
class Losses:
    """What the conversion changed, in all blocks so far."""

    rounded: int = 0  # lit pixels that float32 cannot hold as they were
    largest_rounding: float = 0.0  # relative
    dimmed: int = 0  # pixels below the threshold
    cut_mev: float = 0.0  # energy outside the crop
    kept_mev: float = 0.0


@dataclass(frozen=True)
class Window:
    """The part of an image that is kept, and the side of the square that it is put into at the upper left."""

    row: int
    column: int
    rows: int
    columns: int

    @property
    def side(self) -> int:
        return max(self.rows, self.columns)

    def holds(self, row: Ints, column: Ints) -> Bools:
        """Which pixels of an image are kept."""
        in_rows = (row >= self.row) & (row < self.row + self.rows)
        return in_rows & (column >= self.column) & (column < self.column + self.columns)


def window_of(shape: tuple[int, int], crop: Sequence[int] | None, square: Square) -> Window:
    """Return what is kept of images of this shape.

    Args:
        shape: rows and columns.
        crop: first row, first column, rows and columns; None for all.
        square: what is done with images that are not square then: "pad" puts dark pixels to the right or below, "crop"
            keeps the middle of the longer side, "refuse" is an error.
    """
    row, column, rows, columns = crop or (0, 0, *shape)
    if min(row, column) < 0 or min(rows, columns) < 1 or row + rows > shape[0] or column + columns > shape[1]:
        raise InputError(
            f"crop=[{row},{column},{rows},{columns}]: first row, first column, rows and columns inside "
            f"{shape[0]} x {shape[1]} pixels are expected"
        )
    if rows == columns or square == "pad":
        return Window(row, column, rows, columns)
    if square == "refuse":
        raise InputError(
            f"the images are {rows} x {columns} pixels; square=pad adds dark pixels to make them square, square=crop "
            "keeps the middle of the longer side"
        )
    side = min(rows, columns)
    return Window(row + (rows - side) // 2, column + (columns - side) // 2, side, side)


def choose_plane(images: np.ndarray, plane: int | str | None) -> Shaped[np.ndarray, "event row column"]:
    """Return one plane of images (event, plane, row, column), or their sum; (event, row, column) as they are."""
    if images.ndim == 3:
        return images
    planes = images.shape[1]
    if plane == "sum":
        return images.sum(1, dtype=np.float64)
    if plane is None and planes == 1:
        return images[:, 0]
    if not isinstance(plane, int) or not 0 <= plane < planes:
        given = "" if plane is None else f"plane={plane}: "
        numbers = ", ".join(map(str, range(planes)))
        raise InputError(f"{given}the images have {planes} planes; plane={numbers} or sum is expected")
    return images[:, plane]


def in_mev(
    images: Shaped[np.ndarray, "event row column"],
    *,
    scale: float,
    threshold: float,
    window: Window,
    first: int,
    losses: Losses,
) -> SparseBlock:
    """Return the lit pixels of the square images, in float32; those below the threshold are dark.

    Args:
        images: of one plane.
        scale: MeV of one unit of the source.
        threshold: in MeV; pixels below it become dark.
        window: what is kept.
        first: number of the first event, for messages.
        losses: adds what this changed.

    Raises:
        InputError: for an energy that is negative after the threshold, infinite or NaN.
    """
    num_events, rows, columns = images.shape
    flat = images.reshape(-1)
    lit = _lit(flat)
    event, pixel = np.divmod(lit, rows * columns)
    row, column = np.divmod(pixel, columns)
    exact = flat[lit].astype(np.float64) * scale
    with np.errstate(over="ignore"):  # a number may be too large for float32
        energy = exact.astype(np.float32)
    bright = ~(exact < threshold) if threshold > 0 else np.ones(len(exact), bool)
    _check(energy, bright, first + event, row, column)
    kept = bright & window.holds(row, column)
    losses.dimmed += int((~bright).sum())
    losses.kept_mev += float(exact[kept].sum())
    losses.cut_mev += float(exact[bright].sum() - exact[kept].sum())
    change = np.abs(energy[kept] - exact[kept]) / exact[kept].clip(min=np.finfo(np.float64).tiny)
    losses.rounded += int((change > 0).sum())
    losses.largest_rounding = max(losses.largest_rounding, float(change.max(initial=0)))
    offset = np.searchsorted(event[kept], np.arange(num_events + 1))
    moved = (row[kept] - window.row) * window.side + column[kept] - window.column
    return SparseBlock(offset, moved.astype(np.int32), energy[kept])


def _lit(flat: Shaped[np.ndarray, " pixel"]) -> Ints:
    """The positions of the pixels that are not zero."""
    if flat.dtype != np.float32 or not flat.flags.c_contiguous:
        return np.flatnonzero(flat)
    position = np.empty(len(flat), np.int32)
    return position[: nonzero_pixels(flat.view(np.uint32), position)].astype(np.int64)


def _check(energy: Float32[np.ndarray, " hit"], bright: Bools, event: Ints, row: Ints, column: Ints) -> None:
    wrong = np.flatnonzero((~(energy >= 0) | (energy == np.inf)) & bright)
    if len(wrong):
        hit, value = wrong[0], energy[wrong[0]]
        way = "threshold=0.05 makes pixels below 0.05 MeV dark" if value < 0 else "repair or leave out that event"
        raise InputError(
            f"event {event[hit]} has {value} at row {row[hit]}, column {column[hit]}; deposited energies are finite "
            f"and not negative: {way}"
        )
