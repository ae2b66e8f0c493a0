"""The challenge's file format, and a reader for it; hdf5_writer.py writes it.

An HDF5 file with `image` (N, S, S) float32 deposited energy in MeV, `pdg` (N,) PDG codes, `index` (N,) event numbers,
`mean` (1,) and `std` (1,) float64 over all pixels. `pdg`, `index`, `mean` and `std` may be missing. What a simulation
adds is kept if it is there: `kinetic_energy_mev` (N,), `vertex_px` (N, 2) row and column, `direction` (N, 3).
"""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import h5py
import numpy as np
from jaxtyping import Float32, Int8, Int64

from cdmtrain.data.hdf5_datasets import CheckedFile
from cdmtrain.data.hdf5_images import ImageReader, SparseBlock
from cdmtrain.errors import InputError
from cdmtrain.particles import PDG_CODES, UNKNOWN_CLASS, class_indices

# optional datasets that a simulation adds, and the shape of their entry for one event
TRUTH: dict[str, tuple[int, ...]] = {"kinetic_energy_mev": (), "vertex_px": (2,), "direction": (3,)}
MAX_IMAGE_SIZE = 8192  # pixels along a side: an image is then 256 MiB
UNWRITTEN_BYTES = 2**28  # images that were declared and never written count as dark, up to this size
MAX_COMPRESSION = 2000  # dense bytes to a stored one; deflate reaches 1032 (zlib's technical details)


class ChallengeFile:
    """One file in the challenge's format, checked when it is opened; a context manager.

    Raises InputError, which names file, dataset and entry, for anything else. Float32 of either byte order is
    accepted.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = CheckedFile(path)
        try:
            image = self._image()
            self.num_events, self.image_size = int(image.shape[0]), int(image.shape[1])
            self._images = ImageReader(image, self._file)
            self.class_index = self._class_index()
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
        if len(shape) != 3 or shape[1] != shape[2] or dtype.newbyteorder("=") != np.float32:
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
        if 4 * math.prod(shape) > max(MAX_COMPRESSION * stored, UNWRITTEN_BYTES):
            raise InputError(
                f"'image' in {self.path} declares shape {shape} and holds {stored} bytes: the file is damaged or was "
                "never finished; copy or make it again"
            )
        return image

    def _class_index(self) -> Int8[np.ndarray, " event"]:
        pdg = self._integers("pdg")
        if pdg is None:
            return np.full(self.num_events, UNKNOWN_CLASS, np.int8)
        class_index = class_indices(pdg)
        unknown = np.flatnonzero(class_index == UNKNOWN_CLASS)
        if len(unknown):
            raise InputError(
                f"pdg code {pdg[unknown[0]]} at entry {unknown[0]} of {self.path} is not one of "
                f"{', '.join(map(str, PDG_CODES))}; remove those events"
            )
        return class_index

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
