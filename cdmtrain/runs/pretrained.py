"""Read pretrained.h5 of a run directory: what a network has filled in, and where its features put events."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cdmtrain.runs import files
from cdmtrain.runs.inside import file_inside
from cdmtrain.runs.predictions import LARGEST_IMAGE, MOST_PIXELS, Columns, column_of, damaged, read_columns

HITS = ("class_index", "offset", "pixel", "energy_mev", "hidden")
ASKED = ("asked_offset", "asked_pixel", "asked_probability", "asked_energy_mev")
MAP = ("map_position", "map_share", "map_class_index")


@dataclass(frozen=True)
class FilledIn:
    """Some test events as images (event, S, S), and what the network makes of what was hidden of them."""

    class_index: NDArray[np.int64]  # (event,) truth, -1 where unknown
    energy_mev: NDArray[np.float32]
    seen_mev: NDArray[np.float32]  # what was not hidden
    probability: NDArray[np.float32]  # of being lit; NaN where the network was not asked
    predicted_mev: NDArray[np.float32]  # if lit; NaN where the network was not asked


@dataclass(frozen=True)
class Pretrained:
    """What a pretraining shows of its network."""

    filled_in: FilledIn | None  # None for objectives that hide nothing
    position: NDArray[np.float64]  # (M, 2) principal components of the features of M events
    share: NDArray[np.float64]  # (2,) of the variance of the features
    class_index: NDArray[np.int64]  # (M,) truth, -1 where unknown


def read_pretrained(run: Path, num_classes: int) -> Pretrained | None:
    """Read what a pretraining shows; None where there is no file.

    Raises:
        InputError: where a column is absent or has another shape or type.
    """
    path = file_inside(run, files.PRETRAINED, most_bytes=None)
    if path is None:
        return None
    columns, size = read_columns(path, *HITS, *ASKED, *MAP)
    class_index = _classes(columns, "map_class_index", num_classes, path)
    position = column_of(columns, "map_position", "f", path, (len(class_index), 2)).astype(np.float64)
    share = column_of(columns, "map_share", "f", path, (2,)).astype(np.float64)
    filled_in = _filled_in(columns, size, num_classes, path) if "hidden" in columns else None
    return Pretrained(filled_in, position, share, class_index)


def _filled_in(columns: Columns, size: int, num_classes: int, path: Path) -> FilledIn:
    class_index = _classes(columns, "class_index", num_classes, path)
    if not 0 < size <= LARGEST_IMAGE or len(class_index) * size * size > MOST_PIXELS:
        raise damaged(path, f"{len(class_index)} images of {size} x {size}")
    hits = _places(columns, "offset", "pixel", len(class_index), size, path)
    asked = _places(columns, "asked_offset", "asked_pixel", len(class_index), size, path)

    def image(where: tuple[NDArray, NDArray], values: NDArray, empty: float) -> NDArray[np.float32]:
        dense = np.full((len(class_index), size * size), empty, np.float32)
        dense[where] = values
        return dense.reshape(-1, size, size)

    energy = column_of(columns, "energy_mev", "f", path, hits[0].shape)
    hidden = column_of(columns, "hidden", "iu", path, hits[0].shape)
    probability = column_of(columns, "asked_probability", "f", path, asked[0].shape)
    predicted = column_of(columns, "asked_energy_mev", "f", path, asked[0].shape)
    return FilledIn(
        class_index=class_index,
        energy_mev=image(hits, energy, 0),
        seen_mev=image(hits, np.where(hidden == 0, energy, 0), 0),
        probability=image(asked, probability, np.nan),
        predicted_mev=image(asked, predicted, np.nan),
    )


def _places(
    columns: Columns, offset_name: str, pixel_name: str, num_events: int, size: int, path: Path
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The event and the pixel of each value."""
    offset = column_of(columns, offset_name, "iu", path, (num_events + 1,)).astype(np.int64)
    pixel = column_of(columns, pixel_name, "iu", path, (int(offset[-1]),)).astype(np.int64)
    if offset[0] or (np.diff(offset) < 0).any() or ((pixel < 0) | (pixel >= size * size)).any():
        raise damaged(path, f"{pixel_name} does not fit images of {size} x {size}")
    return np.repeat(np.arange(num_events), np.diff(offset)), pixel


def _classes(columns: Columns, name: str, num_classes: int, path: Path) -> NDArray[np.int64]:
    found = column_of(columns, name, "iu", path).astype(np.int64)
    if ((found < -1) | (found >= num_classes)).any():
        raise damaged(path, f"a {name} is not in -1..{num_classes - 1}")
    return found
