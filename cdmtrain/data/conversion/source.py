"""What is converted: the images of a file, block by block, with one row of every other array for each event."""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from cdmtrain.data.hdf5 import TRUTH
from cdmtrain.errors import InputError

IMAGE_NAMES = ("image", "images", "img", "imgs", "x", "X", "data")  # that are looked for
LABEL_NAMES = ("pdg", "label", "labels", "particle", "y", "target", "targets")
INDEX_NAMES = ("index",)

BLOCK_BYTES = 2**24  # of images read at a time


@dataclass(frozen=True)
class Source:
    """The events of one file.

    Shapes: a block of `read` is (event, row, column), or (event, plane, row, column); `label` and `index` are (event,).
    """

    path: Path
    num_events: int
    image_shape: tuple[int, ...]  # of an event: (row, column) or (plane, row, column)
    dtype: np.dtype
    read: Callable[[], Iterator[np.ndarray]]  # every event once, in order
    label: np.ndarray | None = None
    index: np.ndarray | None = None
    truth: Mapping[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True)
class Array:
    """An array in a file, of which blocks of rows can be read."""

    shape: tuple[int, ...]
    dtype: np.dtype
    blocks: Callable[[int], Iterator[np.ndarray]]  # of so many rows each

    def all(self) -> np.ndarray:
        """The whole array."""
        parts = list(self.blocks(max(1, self.shape[0]) if self.shape else 1))
        return np.concatenate(parts) if parts else np.empty(self.shape, self.dtype)


def source_of(path: Path, arrays: Mapping[str, Array], keys: Mapping[str, Any]) -> Source:
    """Make a source of named arrays; `keys` says which are images, labels and numbers of events, null: by their names.

    Raises:
        InputError: for arrays that are missing, or have another type or length than the images need.
    """
    name = _named("image", keys.get("image"), arrays, IMAGE_NAMES, path) or _only_images(path, arrays)
    images = arrays[name]
    if images.dtype.kind not in "fiub" or len(images.shape) not in (3, 4):
        raise InputError(
            f"{name!r} in {path} is {images.dtype} of shape {images.shape}; numbers of shape (event, row, column) or "
            "(event, plane, row, column) are expected; name the images with keys.image=..."
        )
    if 0 in images.shape:
        raise InputError(f"{name!r} in {path} has shape {images.shape}: there is no pixel in it")
    rows = {
        "label": _named("label", keys.get("label"), arrays, LABEL_NAMES, path),
        "index": _named("index", keys.get("index"), arrays, INDEX_NAMES, path),
        **{one: one for one in TRUTH if one in arrays},
    }
    found = {what: _rows(path, one, arrays[one], images.shape[0]) for what, one in rows.items() if one is not None}
    block = max(1, BLOCK_BYTES // (images.dtype.itemsize * int(np.prod(images.shape[1:]))))
    return Source(
        path,
        images.shape[0],
        images.shape[1:],
        images.dtype,
        lambda: images.blocks(block),
        label=found.pop("label", None),
        index=found.pop("index", None),
        truth=found,
    )


def _named(what: str, key: Any, arrays: Collection[str], usual: Collection[str], path: Path) -> str | None:
    """The name that was typed, or the first usual one that is there; None where there is none."""
    if key is None:
        return next((name for name in usual if name in arrays), None)
    if str(key) not in arrays:
        raise InputError(f"keys.{what}={key} is not in {path}, which has {', '.join(map(repr, arrays)) or 'no array'}")
    return str(key)


def _only_images(path: Path, arrays: Mapping[str, Array]) -> str:
    """The name of the only array that could be images."""
    possible = [name for name, one in arrays.items() if len(one.shape) in (3, 4)]
    if len(possible) != 1:
        raise InputError(
            f"{path} has {', '.join(map(repr, arrays)) or 'no array'}; keys.image=... says which one holds the images"
        )
    return possible[0]


def _rows(path: Path, name: str, array: Array, num_events: int) -> np.ndarray:
    if array.shape[:1] != (num_events,):
        raise InputError(f"{name!r} in {path} has shape {array.shape}, and there are {num_events} images")
    return array.all()
