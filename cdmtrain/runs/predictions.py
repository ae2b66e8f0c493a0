"""Read predictions.h5, mistakes.h5 and learned.h5 of a run directory, and columns of such files."""

from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from cdmtrain.data.hdf5_datasets import CheckedFile
from cdmtrain.errors import InputError
from cdmtrain.runs import files
from cdmtrain.runs.inside import file_inside

LARGEST_IMAGE = 4096  # pixels on a side; a larger number in a file is not believed
MOST_PIXELS = 2**26  # of all images of a file; ours are three for each particle

PREDICTIONS = (
    *("index", "class_index", "probability", "lit_pixels", "deposited_energy_mev"),
    *("kinetic_energy_mev", "vertex_px"),  # where the event file has them
)
EVENTS = ("class_index", "offset", "pixel", "energy_mev")
LEARNED = (*EVENTS, "kernel", "attention", "edge")
MISTAKES = (*EVENTS, "index", "probability", "contribution")

Columns = dict[str, NDArray]


@dataclass(frozen=True)
class Predictions:
    """The network's output for the N test events whose particle is known."""

    class_index: NDArray[np.int64]  # (N,) truth
    probability: NDArray[np.float64]  # (N, classes) softmax, finite
    lit_pixels: NDArray[np.int64]  # (N,)
    deposited_energy_mev: NDArray[np.float64]  # (N,)
    kinetic_energy_mev: NDArray[np.float64] | None = None  # (N,), where the event file has it
    vertex_px: NDArray[np.float64] | None = None  # (N, 2) row and column, where the event file has it
    index: NDArray[np.int64] | None = None  # (N,) number of the event in its file

    @property
    def is_right(self) -> NDArray[np.bool_]:
        """(N,) whether the most probable class is the true one."""
        return np.asarray(self.probability.argmax(axis=1) == self.class_index)


@dataclass(frozen=True)
class Mistakes:
    """The most confident mistakes of each particle, M in all, as the network saw them."""

    index: NDArray[np.int64]  # (M,) number of the event in its file
    class_index: NDArray[np.int64]  # (M,) truth
    probability: NDArray[np.float64]  # (M, classes)
    images: NDArray[np.float32]  # (M, S, S) MeV
    contributions: NDArray[np.float32] | None = None  # (M, S, S) of each pixel to the answer; None in old runs


@dataclass(frozen=True)
class Learned:
    """What the network shows of itself; None where it has no such part. The E edges join two of the N lit pixels."""

    images: NDArray[np.float32]  # (M, S, S) MeV, of the first test event of each particle
    class_index: NDArray[np.int64]  # (M,) truth
    event: NDArray[np.int64]  # (N,) which image each lit pixel is of
    pixel: NDArray[np.int64]  # (N,) row * S + column
    kernel: NDArray[np.float32] | None  # (K, rows, columns) of the first convolution
    attention: NDArray[np.float32] | None  # (N,)
    edge: NDArray[np.int64] | None  # (2, E)


def read_predictions(run: Path, num_classes: int) -> Predictions | None:
    """Read the events with a known particle and finite probabilities; None where there is no file.

    Raises:
        InputError: where a column is absent or has another shape or type.
    """
    path = file_inside(run, files.PREDICTIONS, most_bytes=None)
    if path is None:
        return None
    columns, _ = read_columns(path, *PREDICTIONS)
    truth = column_of(columns, "class_index", "iu", path)
    num_events = len(truth)
    probability = column_of(columns, "probability", "f", path, (num_events, num_classes))
    with np.errstate(invalid="ignore"):  # a NaN of another kind
        probability = probability.astype(np.float64)
    if (truth >= num_classes).any():
        raise damaged(path, f"class_index {truth.max()} is not below {num_classes}")
    use = (truth >= 0) & np.isfinite(probability).all(axis=1)

    def floats(name: str, *shape: int) -> NDArray[np.float64]:
        return column_of(columns, name, "fiu", path, (num_events, *shape))[use].astype(np.float64)

    return Predictions(
        class_index=truth[use].astype(np.int64),
        probability=probability[use],
        lit_pixels=column_of(columns, "lit_pixels", "iu", path, (num_events,))[use].astype(np.int64),
        deposited_energy_mev=floats("deposited_energy_mev"),
        kinetic_energy_mev=floats("kinetic_energy_mev") if "kinetic_energy_mev" in columns else None,
        vertex_px=floats("vertex_px", 2) if "vertex_px" in columns else None,
        index=column_of(columns, "index", "iu", path, (num_events,))[use].astype(np.int64)
        if "index" in columns
        else None,
    )


def read_mistakes(run: Path, num_classes: int) -> Mistakes | None:
    """Read the mistakes with dense images; None where there is no file (runs of old versions) or no mistake.

    Raises:
        InputError: where a column is absent or has another shape or type.
    """
    path = file_inside(run, files.MISTAKES, most_bytes=None)
    if path is None:
        return None
    columns, size = read_columns(path, *MISTAKES)
    class_index, event, pixel, images = _events(columns, size, num_classes, path)
    num_events = len(class_index)
    if not num_events:
        return None
    contributions = None
    if "contribution" in columns:
        contributions = np.zeros_like(images)
        found = column_of(columns, "contribution", "f", path, pixel.shape)
        contributions.reshape(num_events, -1)[event, pixel] = np.nan_to_num(found)
    return Mistakes(
        index=column_of(columns, "index", "iu", path, (num_events,)).astype(np.int64),
        class_index=class_index,
        probability=column_of(columns, "probability", "f", path, (num_events, num_classes)).astype(np.float64),
        images=images,
        contributions=contributions,
    )


def read_learned(run: Path, num_classes: int) -> Learned | None:
    """Read what the network shows of itself; None where there is no file: old runs, networks that show nothing.

    Raises:
        InputError: where a column is absent or has another shape or type.
    """
    path = file_inside(run, files.LEARNED, most_bytes=None)
    if path is None:
        return None
    columns, size = read_columns(path, *LEARNED)
    class_index, event, pixel, images = _events(columns, size, num_classes, path)
    kernel = columns.get("kernel")
    if kernel is not None and (kernel.dtype.kind != "f" or kernel.ndim != 3 or not kernel.size):
        raise damaged(path, f"kernel is {kernel.dtype} of shape {kernel.shape}")
    edge = columns.get("edge")
    if edge is not None:
        edge = column_of(columns, "edge", "iu", path, (2, edge.size // 2)).astype(np.int64)
        if ((edge < 0) | (edge >= len(pixel))).any():
            raise damaged(path, f"an edge joins pixels beyond the {len(pixel)} of the events")
    attention = column_of(columns, "attention", "f", path, pixel.shape) if "attention" in columns else None
    return Learned(images, class_index, event, pixel, kernel, attention, edge)


def _events(
    columns: Columns, size: int, num_classes: int, path: Path
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """Return the class of each event, event and pixel of each hit, and the dense images (event, size, size)."""
    class_index = column_of(columns, "class_index", "iu", path).astype(np.int64)
    offset = column_of(columns, "offset", "iu", path, (len(class_index) + 1,)).astype(np.int64)
    pixel = column_of(columns, "pixel", "iu", path, (int(offset[-1]),)).astype(np.int64)
    energy = column_of(columns, "energy_mev", "f", path, pixel.shape)
    outside = (pixel < 0) | (pixel >= size * size)
    if not 0 < size <= LARGEST_IMAGE or offset[0] or (np.diff(offset) < 0).any() or outside.any():
        raise damaged(path, f"pixels do not fit images of {size} x {size}")
    if ((class_index < 0) | (class_index >= num_classes)).any():
        raise damaged(path, f"a class_index is not in 0..{num_classes - 1}")
    if len(class_index) * size * size > MOST_PIXELS:
        raise damaged(path, f"{len(class_index)} images of {size} x {size}")
    event = np.repeat(np.arange(len(class_index)), np.diff(offset))
    images = np.zeros((len(class_index), size * size), np.float32)
    images[event, pixel] = energy
    return class_index, event, pixel, images.reshape(-1, size, size)


def read_columns(path: Path, *names: str) -> tuple[Columns, int]:
    """Read the datasets that are there, and the attribute image_size, 0 where there is none."""
    try:
        file = CheckedFile(path)
        try:
            found = {name: dataset for name in names if (dataset := file.dataset(name)) is not None}
            columns = {name: _values(file, name, dataset) for name, dataset in found.items()}
            return columns, _image_size(file)
        finally:
            file.close()
    except InputError as error:
        raise damaged(path, str(error)) from error


def _values(file: CheckedFile, name: str, dataset: h5py.Dataset) -> NDArray:
    """The values of a dataset of numbers; of another type none, which has the wrong shape for whoever wants them."""
    if dataset.size is None or dataset.nbytes > file.path.stat().st_size:  # we write them without compression
        raise InputError(f"{name} is declared with shape {dataset.shape}, which the file does not hold")
    if dataset.dtype.kind not in "iuf":
        return np.empty(0, dataset.dtype)
    with file.reading(f"'{name}'"):
        return np.asarray(dataset[()])


def _image_size(file: CheckedFile) -> int:
    size = file.attributes.get("image_size", 0)
    if not isinstance(size, int | np.integer):
        raise InputError("image_size is not a whole number")
    return int(size)


def column_of(columns: Columns, name: str, kinds: str, path: Path, shape: tuple[int, ...] | None = None) -> NDArray:
    """The column `name`, which must have one of numpy's dtype `kinds` and the shape (by default one dimension)."""
    column = columns.get(name)
    if column is None or column.dtype.kind not in kinds or column.shape != (shape or (column.size,)):
        found = "absent" if column is None else f"{column.dtype} of shape {column.shape}"
        raise damaged(path, f"{name} is {found}")
    return column


def damaged(path: Path, reason: str) -> InputError:
    return InputError(f"{path} is damaged ({reason}); restore the file or remove it")
