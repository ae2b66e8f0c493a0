"""The challenge's file format, its reader and its writer.

An HDF5 file with `image` (N, S, S) float32 deposited energy in MeV, `pdg` (N,) PDG codes, `index` (N,) event numbers,
`mean` (1,) and `std` (1,) float64 over all pixels. `pdg`, `index`, `mean` and `std` may be missing. What a simulation
adds is kept if it is there: `kinetic_energy_mev` (N,), `vertex_px` (N, 2) row and column, `direction` (N, 3).
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import h5py
import numpy as np
from jaxtyping import Float32, Int32, Int64

from cdmtrain.atomic import whole_file
from cdmtrain.data.deflate import compress_words
from cdmtrain.data.hdf5_datasets import CheckedFile
from cdmtrain.data.hdf5_images import ImageReader, SparseBlock
from cdmtrain.data.hdf5_writer import Target, new_hdf5
from cdmtrain.errors import InputError
from cdmtrain.particles import ELECTRON, UNKNOWN_PDG

# optional datasets that a simulation adds, and the shape of their entry for one event
TRUTH: dict[str, tuple[int, ...]] = {"kinetic_energy_mev": (), "vertex_px": (2,), "direction": (3,)}
MAX_IMAGE_SIZE = 8192  # pixels along a side: an image is then 256 MiB
UNWRITTEN_BYTES = 2**28  # images that were declared and never written count as dark, up to this size
EVENTS_OF_CHUNK = 8  # images that are written and read together
MAX_COMPRESSION = 2000  # dense bytes to a stored one; deflate reaches 1032 (zlib's technical details)


class ChallengeFile:
    """One file in the challenge's format, checked when it is opened; a context manager.

    Raises InputError, which names file, dataset and entry, for anything else. Numbers of any type and
    byte order are accepted as long as float32 holds each image without a change.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = CheckedFile(path)
        try:
            image = self._image()
            self.num_events, self.image_size = int(image.shape[0]), int(image.shape[1])
            self._images = ImageReader(image, self._file)
            self.pdg = self._pdg()
            index = self._integers("index")
            self.index = np.arange(self.num_events) if index is None else index
            truth = {name: self._truth(name) for name in TRUTH}
            self.truth = {name: values for name, values in truth.items() if values is not None}
        except BaseException:
            self._file.close()
            raise

    @property
    def attributes(self) -> dict[str, Any]:
        return self._file.attributes

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def blocks(self) -> Iterator[SparseBlock]:
        """Every event once, in order, in bounded memory."""
        return self._images.blocks()

    def _image(self) -> h5py.Dataset:
        """The dataset of the images, of a shape and type of the format and a believable size."""
        image = self._file.dataset("image")
        if image is None:
            raise InputError(
                f"{self.path} has no dataset 'image', only {self._file.names()}; "
                "the format is 'image' (N, S, S) float32 with 'pdg' (N,) beside it"
            )
        shape: tuple[int, ...] = image.shape or ()
        dtype = image.dtype
        if len(shape) != 3 or shape[1] != shape[2] or dtype.kind not in "fiu":
            raise InputError(
                f"'image' in {self.path} is {dtype} of shape {shape}; float32 of shape (N, S, S) is expected"
            )
        if shape[0] == 0 or shape[1] == 0:
            raise InputError(f"'image' in {self.path} has shape {shape}: there is no event in it")
        if shape[1] > MAX_IMAGE_SIZE:
            raise InputError(
                f"'image' in {self.path} has shape {shape}; images of at most {MAX_IMAGE_SIZE} x {MAX_IMAGE_SIZE} "
                "pixels are expected"
            )
        with self._file.reading("'image'"):
            stored = min(image.id.get_storage_size(), self.path.stat().st_size)
        if dtype.itemsize * math.prod(shape) > max(MAX_COMPRESSION * stored, UNWRITTEN_BYTES):
            raise InputError(
                f"'image' in {self.path} declares shape {shape} and holds {stored} bytes: the file is damaged or was "
                "never finished; copy or make it again"
            )
        return image

    def _pdg(self) -> Int32[np.ndarray, " event"]:
        """The PDG code of each event; UNKNOWN_PDG without the dataset."""
        pdg = self._integers("pdg")
        if pdg is None:
            return np.full(self.num_events, UNKNOWN_PDG, np.int32)
        codes = pdg.astype(np.int32)
        if len(wrong := np.flatnonzero((codes != pdg) | (np.abs(codes) < ELECTRON.pdg))):
            raise InputError(
                f"pdg code {pdg[wrong[0]]} at entry {wrong[0]} of {self.path} is of no particle that leaves a track; "
                "where pdg holds class indices, task=convert takes what they mean: labels=[electron,photon]"
            )
        return codes

    def _integers(self, name: str) -> Int64[np.ndarray, " event"] | None:
        values = self._file.column(name, num_events=self.num_events, kinds="iu", expected="integers")
        return None if values is None else values.astype(np.int64)

    def _truth(self, name: str) -> Float32[np.ndarray, " event *component"] | None:
        values = self._file.column(name, num_events=self.num_events, kinds="iuf", expected="numbers", entry=TRUTH[name])
        if values is None:
            return None
        with np.errstate(over="ignore"):  # a number too large for float32 is reported as infinite
            values = values.astype(np.float32)
        wrong = np.argwhere(~np.isfinite(values))
        if len(wrong):
            raise InputError(
                f"'{name}' entry {wrong[0, 0]} in {self.path} has {values[tuple(wrong[0])]}; finite numbers are "
                "expected: remove or repair that event"
            )
        return values


class ChallengeWriter:
    """Writes compressed images and their columns in one pass and bounded memory, from the lit pixels alone."""

    def __init__(self, file: h5py.File, target: Target, num_events: int, image_size: int) -> None:
        self._file, self._target, self._num_events, self._num_pixels = file, target, num_events, image_size**2
        self._chunk = min(EVENTS_OF_CHUNK, num_events)
        shape, chunks = (num_events, image_size, image_size), (self._chunk, image_size, image_size)
        self._image = file.create_dataset("image", shape, np.float32, chunks=chunks, compression="gzip")
        file["index"] = np.arange(num_events, dtype=np.int32)
        self._sum_mev = self._sum_squares = 0.0
        self._rows = self._events = 0  # of the columns and of the images that are written
        self._waiting = SparseBlock(np.zeros(1, np.int64), np.empty(0, np.int32), np.empty(0, np.float32))

    def write(self, block: SparseBlock, columns: Mapping[str, np.ndarray]) -> None:
        """Append events; each column, such as pdg, becomes a dataset with a row for each event."""
        rows = slice(self._rows, self._rows + len(block.offset) - 1)
        self._rows = rows.stop
        for name, values in columns.items():
            dataset = self._file.require_dataset(name, (self._num_events, *values.shape[1:]), values.dtype)
            dataset[rows] = values
        energy = block.energy_mev.astype(np.float64)
        self._sum_mev, self._sum_squares = self._sum_mev + energy.sum(), self._sum_squares + (energy**2).sum()
        self._waiting = _joined(self._waiting, block)
        self._write_images(is_last=self._rows == self._num_events)
        self._target.check()

    def finish(self, attributes: Mapping[str, str | int | float]) -> None:
        assert self._rows == self._num_events, f"{self._rows} events came, {self._num_events} were announced"
        mean = self._sum_mev / self._image.size
        self._file["mean"] = np.array([mean])
        self._file["std"] = np.array([np.sqrt(max(self._sum_squares / self._image.size - mean**2, 0.0))])
        self._file.attrs.update(attributes)

    def _write_images(self, *, is_last: bool) -> None:
        """Write the events that wait, in whole chunks unless they are the last ones."""
        offset, pixel, energy = self._waiting
        first, num_events = 0, len(offset) - 1
        while num_events - first >= self._chunk or (is_last and first < num_events):
            end = min(first + self._chunk, num_events)
            hits = slice(offset[first], offset[end])
            position = pixel[hits] + self._num_pixels * np.repeat(
                np.arange(end - first), np.diff(offset[first : end + 1])
            )
            content = compress_words(energy[hits].view(np.uint32), position, self._chunk * self._num_pixels)
            self._image.id.write_direct_chunk((self._events, 0, 0), content)
            first, self._events = end, self._events + end - first
        hits = slice(offset[first], None)
        self._waiting = SparseBlock(offset[first:] - offset[first], pixel[hits], energy[hits])


def _joined(one: SparseBlock, other: SparseBlock) -> SparseBlock:
    offset = np.concatenate([one.offset, other.offset[1:] + one.offset[-1]])
    return SparseBlock(offset, *(np.concatenate(pair) for pair in zip(one[1:], other[1:], strict=True)))


@contextmanager
def new_challenge_file(
    path: Path, *, num_events: int, image_size: int, attributes: Mapping[str, str | int | float]
) -> Iterator[ChallengeWriter]:
    """Yield the writer of a file that is whole afterwards, or absent where anything is raised."""
    with whole_file(path) as temporary, new_hdf5(temporary) as (file, target):
        writer = ChallengeWriter(file, target, num_events, image_size)
        yield writer
        writer.finish(attributes)


def write_challenge_file(
    path: Path, blocks: Iterable[Any], *, num_events: int, image_size: int, attributes: Mapping[str, str | int | float]
) -> None:
    """Write simulated blocks; every field besides the sparse image becomes a dataset: pdg, kinetic_energy_mev, ..."""
    with new_challenge_file(path, num_events=num_events, image_size=image_size, attributes=attributes) as writer:
        for block in blocks:
            columns = {name: values for name, values in vars(block).items() if name not in SparseBlock._fields}
            writer.write(SparseBlock(block.offset, block.pixel, block.energy_mev), columns)
