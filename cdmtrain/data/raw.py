"""Images read past the HDF5 library, which knows one thread: the file's own bytes, by a thread a core.

Contiguous datasets are copied from their place in the file; chunks of whole images are inflated and unshuffled. Any
other layout, and any block that cannot be read so, is left to the library.
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
    """The bytes are not what they should be; the library decides, and words the error."""


def raw_reader(dataset: h5py.Dataset) -> Read | None:
    """What reads blocks of images from several threads at once; None where only the library can."""
    if dataset.chunks is None:
        return _Contiguous(dataset) if _is_in_place(dataset) else None
    filters = _filters(dataset)
    return None if filters is None or dataset.chunks[1:] != dataset.shape[1:] else _Chunked(dataset, filters)


class _Contiguous:
    """Images one after another in the file, which the library has opened."""

    def __init__(self, dataset: h5py.Dataset) -> None:
        self._handle: int = dataset.file.id.get_vfd_handle()
        self._place: int = dataset.id.get_offset()

    def __call__(self, first: int, count: int, target: np.ndarray) -> None:
        wanted: Any = target[:count].reshape(-1).view(np.uint8)
        place = self._place + first * target[0].nbytes
        while len(wanted):
            read = os.preadv(self._handle, [wanted], place)
            if read == 0:
                raise UnreadableError
            wanted, place = wanted[read:], place + read


class _Chunked:
    """Chunks of whole images, perhaps compressed. The library finds them, as it is safe with damaged files."""

    def __init__(self, dataset: h5py.Dataset, filters: list[int]) -> None:
        self._dataset, self._filters, self._length = dataset, filters, dataset.chunks[0]

    def __call__(self, first: int, count: int, target: np.ndarray) -> None:
        for begin in range(first - first % self._length, first + count, self._length):
            start, end = max(begin, first), min(begin + self._length, first + count)
            target[start - first : end - first] = self._images(begin, target)[start - begin : end - begin]

    def _images(self, begin: int, like: np.ndarray) -> np.ndarray:
        """All images of the chunk that begins so, with the shape of an image and the type of `like`."""
        length = self._length * like[0].nbytes
        skipped, content = self._dataset.id.read_direct_chunk((begin, 0, 0))  # an error where none was written
        for number, which in reversed([*enumerate(self._filters)]):
            if not skipped >> number & 1:
                content = _inflated(content, length) if which == DEFLATE else _unshuffled(content, like.itemsize)
        if len(content) != length:
            raise UnreadableError
        return np.frombuffer(content, like.dtype).reshape(self._length, *like.shape[1:])


def _is_in_place(dataset: h5py.Dataset) -> bool:
    """Whether a contiguous dataset was written, and its place is one of the file as the system has it."""
    file = dataset.file
    known = hasattr(os, "preadv") and file.driver == "sec2" and file.userblock_size == 0
    return known and dataset.id.get_offset() is not None and dataset.id.get_storage_size() == dataset.nbytes


def _filters(dataset: h5py.Dataset) -> list[int] | None:
    """The filters of the chunks in the order they were applied; None where there is another than those known here."""
    settings = dataset.id.get_create_plist()
    filters = [settings.get_filter(number)[0] for number in range(settings.get_nfilters())]
    return filters if set(filters) <= {SHUFFLE, DEFLATE} else None


def _inflated(content: bytes, length: int) -> bytes:
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


def _unshuffled(content: bytes, itemsize: int) -> bytes:
    """Bytes of numbers from all first bytes, all second bytes and so on."""
    planes = np.frombuffer(content, np.uint8)
    if len(planes) % itemsize:
        raise UnreadableError
    return planes.reshape(itemsize, -1).T.tobytes()
