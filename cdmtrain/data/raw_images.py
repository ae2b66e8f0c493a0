"""Read images without the HDF5 library, which allows one thread at a time: from the bytes of the file, by all cores.

Contiguous datasets are copied from their position in the file; chunks of whole images are inflated and unshuffled. Any
other layout, and any block that cannot be read in this way, is left to the HDF5 library.
"""

import os
import zlib
from collections.abc import Callable
from typing import Any

import h5py
import numpy as np

Read = Callable[[int, int, np.ndarray], None]  # images first : first + count into an array of the dataset's type

SHUFFLE, DEFLATE = h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_DEFLATE


class UnreadableError(Exception):
    """The bytes are not as expected; the HDF5 library is asked next and words the error."""


def raw_reader(dataset: h5py.Dataset) -> Read | None:
    """A function that reads images from several threads at once; None if only the HDF5 library can read the dataset."""
    if dataset.chunks is None:
        return _Contiguous(dataset) if _is_in_place(dataset) else None
    filters = _filters(dataset)
    return None if filters is None or dataset.chunks[1:] != dataset.shape[1:] else _Chunked(dataset, filters)


class _Contiguous:
    """Reads images that lie one after another in the file."""

    def __init__(self, dataset: h5py.Dataset) -> None:
        self._handle: int = dataset.file.id.get_vfd_handle()
        self._offset: int = dataset.id.get_offset()

    def __call__(self, first: int, count: int, target: np.ndarray) -> None:
        rest: Any = target[:count].reshape(-1).view(np.uint8)
        offset = self._offset + first * target[0].nbytes
        while len(rest):
            num_read = os.preadv(self._handle, [rest], offset)
            if num_read == 0:
                raise UnreadableError
            rest, offset = rest[num_read:], offset + num_read


class _Chunked:
    """Reads chunks of whole images, compressed or not. The HDF5 library finds them: it is safe with damaged files."""

    def __init__(self, dataset: h5py.Dataset, filters: list[int]) -> None:
        self._dataset, self._filters, self._length = dataset, filters, dataset.chunks[0]

    def __call__(self, first: int, count: int, target: np.ndarray) -> None:
        for begin in range(first - first % self._length, first + count, self._length):
            start, end = max(begin, first), min(begin + self._length, first + count)
            target[start - first : end - first] = self._images(begin, target)[start - begin : end - begin]

    def _images(self, begin: int, like: np.ndarray) -> np.ndarray:
        """All images of the chunk whose first image is `begin`, with the image shape and type of `like`."""
        length = self._length * like[0].nbytes
        skipped, content = self._dataset.id.read_direct_chunk((begin, 0, 0))  # raises if it was never written
        for number, which in reversed([*enumerate(self._filters)]):
            if not skipped >> number & 1:
                content = _inflate(content, length) if which == DEFLATE else _unshuffle(content, like.itemsize)
        if len(content) != length:
            raise UnreadableError
        return np.frombuffer(content, like.dtype).reshape(self._length, *like.shape[1:])


def _is_in_place(dataset: h5py.Dataset) -> bool:
    """Whether a contiguous dataset was written, and its offset is one in the file that the system sees."""
    file = dataset.file
    known = hasattr(os, "preadv") and file.driver == "sec2" and file.userblock_size == 0
    return known and dataset.id.get_offset() is not None and dataset.id.get_storage_size() == dataset.nbytes


def _filters(dataset: h5py.Dataset) -> list[int] | None:
    """The filters of the chunks in the order in which they were applied; None if any is not known here."""
    settings = dataset.id.get_create_plist()
    filters = [settings.get_filter(number)[0] for number in range(settings.get_nfilters())]
    return filters if set(filters) <= {SHUFFLE, DEFLATE} else None


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
