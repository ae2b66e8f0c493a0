"""Dense images of an HDF5 file as blocks of (pixel, energy) pairs, read by all cores in bounded memory.

The HDF5 library allows one thread at a time, so images are read from the bytes of the file where that is possible:
contiguous datasets are copied from their position in the file; chunks of whole images are inflated and unshuffled. Any
other layout, and any block that cannot be read in this way, is left to the HDF5 library.
"""

import os
import threading
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple

import h5py
import numpy as np
from jaxtyping import Float32, Float64, Int32, Int64

from cdmtrain.data.hdf5_datasets import CheckedFile
from cdmtrain.data.hits import nonzero_pixels
from cdmtrain.errors import InputError

BLOCK_BYTES = 4 * 2**20  # dense images read at a time; few enough to stay in the processor's cache
MAX_BLOCK_BYTES = 2**29  # at most this much where a chunk of the file is larger, so that it is read once
Read = Callable[[int, int, np.ndarray], None]  # images first : first + count into an array of the dataset's type

SHUFFLE, DEFLATE = h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_DEFLATE


class SparseBlock(NamedTuple):
    """Consecutive events as (pixel, energy) pairs."""

    offset: Int64[np.ndarray, " event_plus_1"]  # hits of event i are offset[i] : offset[i + 1]
    pixel: Int32[np.ndarray, " hit"]  # row * image_size + column, ascending within an event
    energy_mev: Float32[np.ndarray, " hit"]

    def event_mev(self) -> Float64[np.ndarray, " event"]:
        """The deposited energy of each event."""
        event = np.repeat(np.arange(len(self.offset) - 1), np.diff(self.offset))
        return np.bincount(event, self.energy_mev, minlength=len(self.offset) - 1)


class ImageReader:
    """Reads the images of one file, a block of them in each thread.

    Args:
        image: the dataset (N, S, S) of numbers; other types than float32 are read where the cast changes none.
        file: the file it belongs to.
    """

    def __init__(self, image: h5py.Dataset, file: CheckedFile) -> None:
        self._image = image
        self._file = file
        self._num_events, self._image_size = image.shape[:2]
        self._image_bytes = image.dtype.itemsize * self._image_size**2
        self._buffers = threading.local()
        with file.reading("'image'"):
            self._read_raw = raw_reader(image)

    def blocks(self) -> Iterator[SparseBlock]:
        """Every image once, in order.

        A pixel is kept if any bit of its float32 is set, so the dense image comes back bit for bit: -0.0 is a pixel
        with energy -0.0.
        """
        rows = self._rows_per_block()
        firsts = range(0, self._num_events, rows)
        workers = max(1, min(_num_cores(), len(firsts), MAX_BLOCK_BYTES // (rows * self._image_bytes)))
        with ThreadPoolExecutor(workers) as pool:
            pending: deque[Future[SparseBlock]] = deque()
            try:
                for first in firsts:
                    pending.append(pool.submit(self._block, first, min(rows, self._num_events - first)))
                    if len(pending) > 2 * workers:
                        yield pending.popleft().result()
                while pending:
                    yield pending.popleft().result()
            finally:
                pool.shutdown(cancel_futures=True)

    def _block(self, first: int, count: int) -> SparseBlock:
        num_pixels = self._image_size**2
        images = self._as_float32(first, self._dense_images(first, count))
        bits, position = images.reshape(-1).view(np.uint32), self._buffers.position
        lit = position[: nonzero_pixels(bits, position)]
        energy = images.reshape(-1)[lit].astype(np.float32, copy=False)  # in the machine's byte order
        self._check_energies(first, lit, energy)
        offset = np.searchsorted(lit, np.arange(count + 1) * num_pixels)
        return SparseBlock(offset.astype(np.int64), (lit % num_pixels).astype(np.int32), energy)

    def _as_float32(self, first: int, images: np.ndarray) -> np.ndarray:
        """The images as float32, in the byte order of the file where they are float32 there.

        Raises:
            InputError: for a number that float32 cannot hold.
        """
        if images.dtype.newbyteorder("=") == np.float32:
            return images
        with np.errstate(over="ignore", invalid="ignore"):
            cast = images.astype(np.float32)
            wrong = np.argwhere((cast.astype(images.dtype) != images) & ~np.isnan(cast))
        if len(wrong):
            event, row, column = wrong[0].tolist()
            raise InputError(
                f"'image' entry {first + event} in {self._file.path} has {images[event, row, column]} at row {row}, "
                f"column {column}, which float32 cannot hold; task=convert input={self._file.path} rounds such numbers"
            )
        return cast

    def _dense_images(self, first: int, count: int) -> np.ndarray:
        """Images as the file has them, in a buffer of this thread that its next block overwrites."""
        if not hasattr(self._buffers, "images") or len(self._buffers.images) < count:
            self._buffers.images = np.empty((count, *self._image.shape[1:]), self._image.dtype)
            self._buffers.position = np.empty(self._buffers.images.size, np.int32)
        images = self._buffers.images[:count]
        if self._read_raw is not None:
            with suppress(Exception):  # the HDF5 library, asked next, can read it or says why not
                self._read_raw(first, count, images)
                return images
        with self._file.reading(f"'image' entries {first} to {first + count - 1}"):
            self._image.read_direct(images, np.s_[first : first + count])
        return images

    def _rows_per_block(self) -> int:
        """Images in a block: whole chunks of the file, unless they are huge."""
        chunk = self._image.chunks[0] if self._image.chunks else 1
        rows = max(1, BLOCK_BYTES // self._image_bytes)
        whole_chunks = -(-rows // chunk) * chunk
        return min(whole_chunks, max(rows, MAX_BLOCK_BYTES // self._image_bytes), self._num_events)

    def _check_energies(self, first: int, lit: np.ndarray, energy: np.ndarray) -> None:
        wrong = np.flatnonzero(~(energy >= 0) | np.isinf(energy))
        if len(wrong):
            event, pixel = divmod(int(lit[wrong[0]]), self._image_size**2)
            row, column = divmod(pixel, self._image_size)
            raise InputError(
                f"'image' entry {first + event} in {self._file.path} has {energy[wrong[0]]} at row {row}, column "
                f"{column}; deposited energies are finite and not negative: remove or repair that event"
            )


def _num_cores() -> int:
    """Cores this process may use; all of the machine's if the system does not say."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class UnreadableError(Exception):
    """The bytes are not as expected; the HDF5 library is asked next and words the error."""


def raw_reader(dataset: h5py.Dataset) -> Read | None:
    """A function that reads images from several threads at once; None if only the HDF5 library can read the dataset."""
    if dataset.chunks is None:
        if not _is_in_place(dataset):
            return None
        return partial(_read_contiguous, dataset.file.id.get_vfd_handle(), dataset.id.get_offset())
    settings = dataset.id.get_create_plist()
    filters = [settings.get_filter(number)[0] for number in range(settings.get_nfilters())]
    if not set(filters) <= {SHUFFLE, DEFLATE} or dataset.chunks[1:] != dataset.shape[1:]:
        return None
    return partial(_read_chunked, dataset, filters)


def _read_contiguous(handle: int, offset: int, first: int, count: int, target: np.ndarray) -> None:
    """Read images that lie one after another in the file, from `offset` on."""
    rest: Any = target[:count].reshape(-1).view(np.uint8)
    offset += first * target[0].nbytes
    while len(rest):
        num_read = os.preadv(handle, [rest], offset)
        if num_read == 0:
            raise UnreadableError
        rest, offset = rest[num_read:], offset + num_read


def _read_chunked(dataset: h5py.Dataset, filters: list[int], first: int, count: int, target: np.ndarray) -> None:
    """Read chunks of whole images, compressed or not. The HDF5 library finds them: it is safe with damaged files."""
    length = dataset.chunks[0]
    for begin in range(first - first % length, first + count, length):
        start, end = max(begin, first), min(begin + length, first + count)
        skipped, content = dataset.id.read_direct_chunk((begin, 0, 0))  # raises if it was never written
        for number, which in reversed([*enumerate(filters)]):
            if not skipped >> number & 1:
                num_bytes = length * target[0].nbytes
                content = _inflate(content, num_bytes) if which == DEFLATE else _unshuffle(content, target.itemsize)
        if len(content) != length * target[0].nbytes:
            raise UnreadableError
        images = np.frombuffer(content, target.dtype).reshape(length, *target.shape[1:])
        target[start - first : end - first] = images[start - begin : end - begin]


def _is_in_place(dataset: h5py.Dataset) -> bool:
    """Whether a contiguous dataset was written, and its offset is one in the file that the system sees."""
    file = dataset.file
    known = hasattr(os, "preadv") and file.driver == "sec2" and file.userblock_size == 0
    return known and dataset.id.get_offset() is not None and dataset.id.get_storage_size() == dataset.nbytes


def _inflate(content: bytes, length: int) -> bytes:
    inflate = zlib.decompressobj()
    try:
        plain = inflate.decompress(content, length)
        if not inflate.eof and inflate.decompress(inflate.unconsumed_tail, 1):  # reads the checksum too
            raise UnreadableError
    except zlib.error as error:
        raise UnreadableError from error
    if not inflate.eof:
        raise UnreadableError
    return plain


def _unshuffle(content: bytes, itemsize: int) -> bytes:
    """Undo HDF5's shuffle filter, which stores the first bytes of all numbers, then the second bytes, and so on."""
    planes = np.frombuffer(content, np.uint8)
    if len(planes) % itemsize:
        raise UnreadableError
    return planes.reshape(itemsize, -1).T.tobytes()
