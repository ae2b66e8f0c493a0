"""Read ROOT files in the layout of LArCV (github.com/DeepLearnPhysics/larcv2), through uproot.

A tree `image2d_<producer>_tree` holds for each event a vector of images, one for each plane, each with its numbers of
rows and columns and its pixels, column by column. `particle_<producer>_tree` holds the particles of each event.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from cdmtrain.data.conversion.arrays import reading
from cdmtrain.data.conversion.source import BLOCK_BYTES, Source
from cdmtrain.errors import InputError

IMAGES, PARTICLES = "image2d_", "particle_"
PIXELS, ROWS, COLUMNS, CODE = "_image_v._img", "_meta._row_count", "_meta._col_count", "_part_v._pdg"


@contextmanager
def open_larcv(path: Path, keys: Mapping[str, Any]) -> Iterator[Source]:
    """Open a file of LArCV for conversion; `keys.image` and `keys.label` name the trees where there are several.

    The label of an event is the code of its first particle.

    Raises:
        InputError: for a file without such trees, and for images of different sizes.
    """
    import uproot  # of the extra [root]

    with reading(path), uproot.open(path) as file:
        trees = [key.partition(";")[0] for key in file.keys(filter_classname="TTree")]
        images = file[_tree("image", keys.get("image"), trees, IMAGES, path)]
        particles = [tree for tree in trees if tree.startswith(PARTICLES)] or keys.get("label")
        rows, columns = (_sizes(images, name, path) for name in (ROWS, COLUMNS))
        planes = {len(one) for one in rows}
        if len(planes) != 1 or len({*np.concatenate(rows)}) != 1 or len({*np.concatenate(columns)}) != 1:
            raise InputError(
                f"the images in {path} differ in size or number of planes; images of one size are expected"
            )
        shape = (planes.pop(), int(rows[0][0]), int(columns[0][0]))
        label = None
        if particles:
            tree = file[_tree("label", keys.get("label"), trees, PARTICLES, path)]
            label = _first_codes(_branch(tree, CODE, path).array(library="np"), path)
        pixels = _branch(images, PIXELS, path)
        yield Source(path, len(rows), shape, np.dtype(np.float32), lambda: _blocks(pixels, shape, path), label=label)


def _blocks(pixels: Any, shape: tuple[int, int, int], path: Path) -> Iterator[np.ndarray]:
    planes, rows, columns = shape
    count = max(1, BLOCK_BYTES // (4 * planes * rows * columns))
    for first in range(0, pixels.num_entries, count):
        with reading(path):
            events = pixels.array(library="np", entry_start=first, entry_stop=first + count)
            flat = np.array([[np.asarray(plane, np.float32) for plane in event] for event in events])
        yield flat.reshape(-1, planes, columns, rows).swapaxes(2, 3)


def _tree(what: str, key: Any, trees: list[str], begins: str, path: Path) -> str:
    found = [tree for tree in trees if tree.startswith(begins)] if key is None else [key] if key in trees else []
    if len(found) != 1:
        raise InputError(
            f"{path} has the trees {', '.join(trees) or '(none)'}; keys.{what}=... names one that begins with {begins}"
        )
    return str(found[0])


def _branch(tree: Any, ends: str, path: Path) -> Any:
    found = next((name for name in tree.keys() if name.endswith(ends)), None)  # noqa: SIM118  a tree is no mapping
    if found is None:
        raise InputError(f"{tree.name} in {path} has no branch that ends in {ends}; the layout of LArCV is expected")
    return tree[found]


def _sizes(tree: Any, name: str, path: Path) -> Any:
    sizes = _branch(tree, name, path).array(library="np")
    if not len(sizes):
        raise InputError(f"{path} has no event")
    return sizes


def _first_codes(codes: Any, path: Path) -> np.ndarray:
    for event, of_event in enumerate(codes):
        if not len(of_event):
            raise InputError(f"event {event} in {path} has no particle; leave it out")
    return np.array([of_event[0] for of_event in codes], np.int32)
