"""Write HDF5 so that a full disk ends in an exception: the HDF5 library itself crashes while it closes such a file."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import h5py


class Target(io.RawIOBase):
    """A binary file for h5py whose writes always succeed: after the first one that fails they are kept in memory.

    `check`, called after every block, raises the failure, so there is little to keep.
    """

    def __init__(self, stream: BinaryIO) -> None:
        super().__init__()
        self._stream = stream
        self._position = 0
        self._end = 0
        self._failure: BaseException | None = None
        self._kept: list[tuple[int, bytes]] = []  # position and content, in the order of writing

    def check(self) -> None:
        """Raise the first failure of a write."""
        if self._failure:
            raise self._failure

    def write(self, content: Any) -> int:
        start, length = self._position, len(content)
        self._position += length
        self._end = max(self._end, self._position)
        try:
            if self._failure is None:
                self._write_all(start, memoryview(content))
        except BaseException as error:  # also Ctrl-C, which the library would take for a failure of the disk
            self._failure = error
        if self._failure is not None:
            self._kept.append((start, bytes(content)))
        return length

    def readinto(self, target: Any) -> int:
        length = max(0, min(len(target), self._end - self._position))
        self._stream.seek(self._position)
        found = self._stream.read(length)
        target[:length] = found.ljust(length, b"\0")
        for start, content in self._kept:
            first, last = max(start, self._position), min(start + len(content), self._position + length)
            if first < last:
                target[first - self._position : last - self._position] = content[first - start : last - start]
        self._position += length
        return length

    def seek(self, offset: int, whence: int = 0) -> int:
        self._position = offset + (0, self._position, self._end)[whence]
        return self._position

    def tell(self) -> int:
        return self._position

    def truncate(self, size: int | None = None) -> int:
        size = self._position if size is None else size
        self._end = size
        if self._failure is None:
            try:
                self._stream.truncate(size)
            except OSError as error:
                self._failure = error
        return size

    def flush(self) -> None:
        """Do nothing: the stream has no buffer."""

    def _write_all(self, start: int, content: memoryview) -> None:
        self._stream.seek(start)
        while len(content):
            content = content[self._stream.write(content) :]


@contextmanager
def new_hdf5(path: Path) -> Iterator[tuple[h5py.File, Target]]:
    """Yield a new HDF5 file and its target, to be checked after every block; no lock is needed.

    Raises:
        OSError: where the disk is full, with the name of the file.
    """
    with path.open("w+b", buffering=0) as stream:
        target = Target(stream)
        with h5py.File(target, "w") as file:
            yield file, target
        target.check()
