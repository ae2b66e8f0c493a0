"""The challenge's file format, both ways.

An HDF5 file with `image` (N, S, S) float32 deposited energy in MeV, `pdg` (N,) PDG codes, `index` (N,) event numbers,
`mean` (1,) and `std` (1,) float64 over all pixels. `pdg`, `index`, `mean` and `std` may be missing. What a simulation
adds is kept when it is there: `kinetic_energy_mev` (N,), `vertex_px` (N, 2) row and column, `direction` (N, 3).
"""

import math
import os
import stat
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import Any, Protocol, Self

import h5py
import numpy as np
from jaxtyping import Float32, Int8, Int32, Int64

from cdmtrain.atomic import whole_file
from cdmtrain.data.hits import nonzero_pixels
from cdmtrain.data.raw import raw_reader
from cdmtrain.errors import InputError
from cdmtrain.particles import PDG_CODES, UNKNOWN_CLASS, class_indices

# what a simulation adds, all optional, and the shape of an event's entry
TRUTH: dict[str, tuple[int, ...]] = {"kinetic_energy_mev": (), "vertex_px": (2,), "direction": (3,)}
MAX_IMAGE_SIZE = 8192  # pixels a side: an image is then 256 MiB
BLOCK_BYTES = 4 * 2**20  # dense images read at a time; few enough to stay in the processor's cache
MAX_BLOCK_BYTES = 2**29  # so many where a chunk of the file holds as many events: it is then read once
UNWRITTEN_BYTES = 2**28  # images that were declared and never written are dark, up to so many bytes
CHECKSUM_BYTES = 4  # of Fletcher's, at the end of a chunk
MAX_COMPRESSION = 2000  # dense bytes to a stored one; deflate ends at 1032 (zlib's technical details)

Block = tuple[Int64[np.ndarray, " event_plus_1"], Int32[np.ndarray, " hit"], Float32[np.ndarray, " hit"]]


class SparseBlock(Protocol):
    """Consecutive events as (pixel, energy) pairs; what a simulation yields and a reader gives."""

    offset: Int64[np.ndarray, " event_plus_1"]
    pixel: Int32[np.ndarray, " hit"]
    energy_mev: Float32[np.ndarray, " hit"]


class ChallengeFile:
    """One file in the challenge's format, checked at the door; a context manager.

    Raises InputError, naming file, dataset and entry, for anything that is not of the format. Float32 of either
    byte order is accepted: swapping bytes loses none.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = _open(path)
        try:
            self._image = self._checked_image()
            self._buffers = threading.local()
            with self._reading("'image'"):
                self._raw = raw_reader(self._image)
            self.class_index = self._class_index()
            index = self._integers("index")
            self.index = np.arange(self.num_events) if index is None else index
            truth = {name: self._truth(name) for name in TRUTH}
            self.truth = {name: values for name, values in truth.items() if values is not None}
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
        with self._reading("the attributes"):
            return dict(self._file.attrs)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def blocks(self) -> Iterator[Block]:
        """Every image once, in order, in bounded memory, as (offset, pixel, energy) of each block, by all cores.

        A pixel is kept when any bit of its float32 is set, so that the dense image comes back bit for bit: -0.0 is a
        pixel that was written, with energy -0.0.
        """
        rows = self._rows_per_block()
        firsts = range(0, self.num_events, rows)
        workers = max(1, min(_num_cores(), len(firsts), MAX_BLOCK_BYTES // (4 * rows * self.image_size**2)))
        with ThreadPoolExecutor(workers) as pool:
            coming: deque[Future[Block]] = deque()
            try:
                for first in firsts:
                    coming.append(pool.submit(self._block, first, min(rows, self.num_events - first)))
                    if len(coming) > 2 * workers:
                        yield coming.popleft().result()
                while coming:
                    yield coming.popleft().result()
            finally:
                pool.shutdown(cancel_futures=True)

    def _block(self, first: int, count: int) -> Block:
        pixels = self.image_size**2
        images = self._images(first, count)
        bits, places = images.reshape(-1).view(np.uint32), self._buffers.places
        lit = places[: nonzero_pixels(bits, places)]
        energy = images.reshape(-1)[lit].astype(np.float32, copy=False)  # of the machine's byte order
        self._check_energies(first, lit, energy)
        offset = np.searchsorted(lit, np.arange(count + 1) * pixels)
        return offset.astype(np.int64), (lit % pixels).astype(np.int32), energy

    def _images(self, first: int, count: int) -> np.ndarray:
        """Dense images as the file has them, in memory of this thread that the next block overwrites."""
        if not hasattr(self._buffers, "images") or len(self._buffers.images) < count:
            self._buffers.images = np.empty((count, *self._image.shape[1:]), self._image.dtype)
            self._buffers.places = np.empty(self._buffers.images.size, np.int32)
        images = self._buffers.images[:count]
        if self._raw is not None:
            with suppress(Exception):  # the library, asked next, can read it or says why not
                self._raw(first, count, images)
                return images
        with self._reading(f"'image' entries {first} to {first + count - 1}"):
            self._image.read_direct(images, np.s_[first : first + count])
        return images

    def _rows_per_block(self) -> int:
        chunk = self._image.chunks[0] if self._image.chunks else 1
        image_bytes = 4 * self.image_size**2
        rows = max(1, BLOCK_BYTES // image_bytes)
        whole_chunks = -(-rows // chunk) * chunk
        return min(whole_chunks, max(rows, MAX_BLOCK_BYTES // image_bytes), self.num_events)

    def _check_energies(self, first: int, lit: np.ndarray, energy: np.ndarray) -> None:
        wrong = np.flatnonzero(~(energy >= 0) | np.isinf(energy))
        if len(wrong):
            entry, pixel = divmod(int(lit[wrong[0]]), self.image_size**2)
            row, column = divmod(pixel, self.image_size)
            raise InputError(
                f"'image' entry {first + entry} in {self.path} has {energy[wrong[0]]} at row {row}, column {column}; "
                "deposited energies are finite and not negative: remove or repair that event"
            )

    def _dataset(self, name: str) -> h5py.Dataset | None:
        """The dataset of that name, if there is one, with a shape and a type that can be read."""
        with self._reading(f"'{name}'"):
            linked = self._file.get(name, getlink=True) is not None  # a link to nowhere is damage, no link is none
            found = self._file[name] if linked else None
            elsewhere = isinstance(found, h5py.Dataset) and (
                found.is_virtual or found.external or found.file.filename != self._file.filename
            )
            facts = (found.shape, found.dtype, found.chunks) if isinstance(found, h5py.Dataset) else ()
            if isinstance(found, h5py.Dataset) and found.fletcher32:
                _check_checksums_fit(found)
        if found is not None and not facts:
            raise InputError(f"'{name}' in {self.path} is a group; a dataset is expected")
        if elsewhere:  # the fingerprint of this file would not tell a change of the other
            raise InputError(f"'{name}' in {self.path} is kept in another file; copy it into this one")
        return found

    def _checked_image(self) -> h5py.Dataset:
        image = self._dataset("image")
        if image is None:
            raise InputError(
                f"{self.path} has no dataset 'image', only {self._names()}; "
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
        with self._reading("'image'"):
            stored = min(image.id.get_storage_size(), self.path.stat().st_size)
        if 4 * math.prod(shape) > max(MAX_COMPRESSION * stored, UNWRITTEN_BYTES):
            raise InputError(
                f"'image' in {self.path} declares shape {shape} and holds {stored} bytes: the file is damaged or was "
                "never finished; copy or make it again"
            )
        return image

    def _names(self) -> str:
        with self._reading("the list of datasets"):
            return ", ".join(map(repr, islice(self._file, 10))) or "nothing"

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
        values = self._per_event(name, "iu", "integers")
        return None if values is None else values.astype(np.int64)

    def _truth(self, name: str) -> Float32[np.ndarray, " event *component"] | None:
        values = self._per_event(name, "iuf", "numbers", TRUTH[name])
        if values is None:
            return None
        with np.errstate(over="ignore"):  # what is too large for float32 is reported as infinite
            values = values.astype(np.float32)
        wrong = np.argwhere(~np.isfinite(values))
        if len(wrong):
            raise InputError(
                f"'{name}' entry {wrong[0, 0]} in {self.path} has {values[tuple(wrong[0])]}; finite numbers are "
                "expected: remove or repair that event"
            )
        return values

    def _per_event(self, name: str, kinds: str, words: str, entry: tuple[int, ...] = ()) -> np.ndarray | None:
        dataset = self._dataset(name)
        if dataset is None:
            return None
        expected = (self.num_events, *entry)
        if dataset.dtype.kind not in kinds or dataset.shape != expected:
            raise InputError(
                f"'{name}' in {self.path} is {dataset.dtype} of shape {dataset.shape}, but 'image' has "
                f"{self.num_events} events; {words} of shape {expected} are expected"
            )
        with self._reading(f"'{name}'"):
            return dataset[:]

    @contextmanager
    def _reading(self, what: str) -> Iterator[None]:
        """Whatever the HDF5 library raises on damaged bytes, and it raises nearly everything, becomes one sentence."""
        try:
            yield
        except Exception as error:
            raise InputError(
                f"{what} in {self.path} cannot be read ({_reason(error)}): the file is damaged; copy or make it again"
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


def _check_checksums_fit(dataset: h5py.Dataset) -> None:
    """Refuse chunks shorter than the checksum at their end: the library would read memory that is not theirs."""
    short = dataset.id.chunk_iter(lambda chunk: chunk.size if chunk.size <= CHECKSUM_BYTES else None)
    if short is not None:
        raise ValueError(f"a chunk of {short} bytes has no room for its checksum")


def _num_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _open(path: Path) -> h5py.File:
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise InputError(f"{path} is not a file; data.files takes HDF5 files")
        return h5py.File(path, "r", locking="best-effort")
    except InputError:
        raise
    except (FileNotFoundError, NotADirectoryError) as error:
        raise InputError(f"{path} does not exist (looked for in {Path.cwd()}); check data.files") from error
    except PermissionError as error:
        raise InputError(f"{path} may not be read by this user; check its permissions") from error
    except BlockingIOError as error:
        raise InputError(f"{path} is open for writing in another program; close it there first") from error
    except Exception as error:  # h5py raises nearly everything on damaged bytes
        kind = "is not an HDF5 file" if "signature not found" in str(error) else "cannot be opened"
        raise InputError(f"{path} {kind} ({_reason(error)}); a file in the challenge's format is expected") from error


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split())
    inner = text[text.find("(") + 1 : text.rfind(")")] if "(" in text else text
    return inner.strip() or type(error).__name__
