"""The challenge's file format, both ways.

An HDF5 file with `image` (N, S, S) float32 deposited energy in MeV, `pdg` (N,) PDG codes, `index` (N,) event numbers,
`mean` (1,) and `std` (1,) float64 over all pixels. `pdg`, `index`, `mean` and `std` may be missing. What a simulation
adds is kept when it is there: `kinetic_energy_mev` (N,), `vertex_px` (N, 2) row and column, `direction` (N, 3).
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol, Self

import h5py
import numpy as np
from jaxtyping import Float32, Int8, Int32, Int64

from cdmtrain.atomic import whole_file
from cdmtrain.errors import InputError
from cdmtrain.particles import PDG_CODES, UNKNOWN_CLASS, class_indices

TRUTH = ("kinetic_energy_mev", "vertex_px", "direction")  # optional datasets, one row an event
BLOCK_BYTES = 4 * 2**20  # dense images read at a time; few enough to stay in the processor's cache


class SparseBlock(Protocol):
    """Consecutive events as (pixel, energy) pairs; what a simulation yields and a reader gives."""

    offset: Int64[np.ndarray, " event_plus_1"]
    pixel: Int32[np.ndarray, " hit"]
    energy_mev: Float32[np.ndarray, " hit"]


class ChallengeFile:
    """One file in the challenge's format, checked at the door; a context manager.

    Raises InputError, naming file, dataset and entry, for anything that is not of the format.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = _open(path)
        try:
            self._image = self._dataset("image")
            self._check_image()
            self.class_index = self._class_index()
            self.index = self._integers("index") if "index" in self._file else np.arange(self.num_events)
            self.truth = {name: self._truth(name) for name in TRUTH if name in self._file}
        except BaseException:
            self._file.close()
            raise

    @property
    def num_events(self) -> int:
        return int(self._image.shape[0])

    @property
    def image_size(self) -> int:
        return int(self._image.shape[1])

    @property
    def attributes(self) -> dict[str, Any]:
        return dict(self._file.attrs)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def blocks(self) -> Iterator[tuple[Int64[np.ndarray, " event_plus_1"], Int32[np.ndarray, " hit"], np.ndarray]]:
        """Every image once, in order, in bounded memory, as (offset, pixel, energy) of each block.

        A pixel is kept when any bit of its float32 is set, so that the dense image comes back bit for bit.
        """
        rows = self._rows_per_block()
        pixels = self.image_size**2
        buffer = np.empty((rows, self.image_size, self.image_size), np.float32)
        for first in range(0, self.num_events, rows):
            count = min(rows, self.num_events - first)
            self._read(first, count, buffer)
            bits = buffer[:count].reshape(-1).view(np.uint32)
            lit = np.flatnonzero(bits != 0)  # three times as fast as flatnonzero(bits)
            energy = bits[lit].view(np.float32)
            self._check_energies(first, lit, energy)
            offset = np.searchsorted(lit, np.arange(count + 1) * pixels)
            yield offset.astype(np.int64), (lit % pixels).astype(np.int32), energy

    def _rows_per_block(self) -> int:
        chunk = self._image.chunks[0] if self._image.chunks else 1
        rows = max(1, BLOCK_BYTES // (4 * self.image_size**2))
        return min(-(-rows // chunk) * chunk, self.num_events)

    def _read(self, first: int, count: int, buffer: np.ndarray) -> None:
        try:
            self._image.read_direct(buffer, np.s_[first : first + count], np.s_[:count])
        except OSError as error:
            raise InputError(
                f"entries {first} to {first + count - 1} of 'image' in {self.path} cannot be read ({_reason(error)}): "
                "the file is damaged; copy or make it again"
            ) from error

    def _check_energies(self, first: int, lit: np.ndarray, energy: np.ndarray) -> None:
        wrong = np.flatnonzero(~(energy >= 0) | np.isinf(energy))
        if len(wrong):
            entry, pixel = divmod(int(lit[wrong[0]]), self.image_size**2)
            row, column = divmod(pixel, self.image_size)
            raise InputError(
                f"'image' entry {first + entry} in {self.path} has {energy[wrong[0]]} at row {row}, column {column}; "
                "deposited energies are finite and not negative: remove or repair that event"
            )

    def _dataset(self, name: str) -> h5py.Dataset:
        found = self._file.get(name)
        if not isinstance(found, h5py.Dataset):
            raise InputError(
                f"{self.path} has no dataset '{name}', only {', '.join(map(repr, self._file)) or 'nothing'}; "
                "the format is 'image' (N, S, S) float32 with 'pdg' (N,) beside it"
            )
        return found

    def _check_image(self) -> None:
        shape, dtype = self._image.shape, self._image.dtype
        if len(shape) != 3 or shape[1] != shape[2] or dtype != np.float32:
            raise InputError(
                f"'image' in {self.path} is {dtype} of shape {shape}; float32 of shape (N, S, S) is expected"
            )
        if shape[0] == 0 or shape[1] == 0:
            raise InputError(f"'image' in {self.path} has shape {shape}: there is no event in it")

    def _integers(self, name: str) -> Int64[np.ndarray, " event"]:
        values = self._per_event(name)
        if values.ndim != 1 or values.dtype.kind not in "iu":
            raise InputError(
                f"'{name}' in {self.path} is {values.dtype} of shape {values.shape}; integers of shape "
                f"({self.num_events},) are expected"
            )
        return values.astype(np.int64)

    def _class_index(self) -> Int8[np.ndarray, " event"]:
        if "pdg" not in self._file:
            return np.full(self.num_events, UNKNOWN_CLASS, np.int8)
        pdg = self._integers("pdg")
        class_index = class_indices(pdg)
        unknown = np.flatnonzero(class_index == UNKNOWN_CLASS)
        if len(unknown):
            raise InputError(
                f"pdg code {pdg[unknown[0]]} at entry {unknown[0]} of {self.path} is not one of "
                f"{', '.join(map(str, PDG_CODES))}; remove those events"
            )
        return class_index

    def _truth(self, name: str) -> Float32[np.ndarray, "event *component"]:
        values = self._per_event(name)
        if values.dtype.kind not in "iuf":
            raise InputError(f"'{name}' in {self.path} is {values.dtype}; numbers are expected")
        return values.astype(np.float32)

    def _per_event(self, name: str) -> np.ndarray:
        dataset = self._dataset(name)
        if not dataset.shape or dataset.shape[0] != self.num_events:
            raise InputError(
                f"'{name}' in {self.path} has shape {dataset.shape}, but 'image' has {self.num_events} events; "
                "there must be one entry an event"
            )
        try:
            return dataset[:]
        except OSError as error:
            raise InputError(
                f"'{name}' in {self.path} cannot be read ({_reason(error)}): the file is damaged; copy or make it again"
            ) from error


def write_challenge_file(
    path: Path,
    blocks: Iterable[SparseBlock],
    *,
    num_events: int,
    image_size: int,
    attributes: Mapping[str, str | int | float],
) -> None:
    """Write simulated events densely, compressed, one pass in bounded memory, whole or not at all.

    Every field of a block that is not of the sparse image (pdg, kinetic_energy_mev, vertex_px, ...) becomes a dataset.
    """
    sum_mev = sum_squares = 0.0
    written = 0
    with whole_file(path) as temporary, h5py.File(temporary, "w") as file:
        shape = (num_events, image_size, image_size)
        chunks = (min(8, num_events), image_size, image_size)
        image = file.create_dataset("image", shape, np.float32, chunks=chunks, compression="gzip", compression_opts=1)
        file["index"] = np.arange(num_events, dtype=np.int32)
        for block in blocks:
            dense = _dense(block, image_size)
            image[written : written + len(dense)] = dense
            for name, values in _columns(block).items():
                column = file.require_dataset(name, (num_events, *values.shape[1:]), values.dtype)
                column[written : written + len(values)] = values
            energy = block.energy_mev.astype(np.float64)
            sum_mev, sum_squares = sum_mev + energy.sum(), sum_squares + (energy**2).sum()
            written += len(dense)
        assert written == num_events, f"{written} events came, {num_events} were announced"
        pixels = num_events * image_size**2
        file["mean"] = np.array([sum_mev / pixels])
        file["std"] = np.array([np.sqrt(max(sum_squares / pixels - (sum_mev / pixels) ** 2, 0.0))])
        file.attrs.update(attributes)


def _dense(block: SparseBlock, image_size: int) -> Float32[np.ndarray, "event row column"]:
    num_events = len(block.offset) - 1
    dense = np.zeros((num_events, image_size**2), np.float32)
    event = np.repeat(np.arange(num_events), np.diff(block.offset))
    dense[event, block.pixel] = block.energy_mev
    return dense.reshape(num_events, image_size, image_size)


def _columns(block: SparseBlock) -> dict[str, np.ndarray]:
    return {name: values for name, values in vars(block).items() if name not in ("offset", "pixel", "energy_mev")}


def _open(path: Path) -> h5py.File:
    if not path.exists():
        raise InputError(f"{path} does not exist (looked for in {Path.cwd()}); check data.files")
    if not path.is_file():
        raise InputError(f"{path} is not a file; data.files takes HDF5 files")
    try:
        return h5py.File(path, "r")
    except PermissionError as error:
        raise InputError(f"{path} may not be read by this user; check its permissions") from error
    except OSError as error:
        kind = "is damaged HDF5" if _has_signature(path) else "is not an HDF5 file"
        raise InputError(f"{path} {kind} ({_reason(error)}); a file in the challenge's format is expected") from error


def _has_signature(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(8) == b"\x89HDF\r\n\x1a\n"


def _reason(error: OSError) -> str:
    text = str(error)
    inner = text[text.find("(") + 1 : text.rfind(")")] if "(" in text else text
    return inner.strip() or type(error).__name__
