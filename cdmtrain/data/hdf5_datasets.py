"""Datasets of an HDF5 file, checked: whatever is wrong with a file becomes one sentence that names it."""

import stat
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from cdmtrain.errors import InputError
from cdmtrain.lock import NO_LOCKS

CHECKSUM_BYTES = 4  # of the Fletcher checksum at the end of a chunk


class CheckedFile:
    """An HDF5 file open for reading. Everything that cannot be read raises InputError."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = _open(path)

    def close(self) -> None:
        self._file.close()

    @property
    def attributes(self) -> dict[str, Any]:
        with self.reading("the attributes"):
            return dict(self._file.attrs)

    def names(self) -> str:
        """The names of the first datasets, for a message."""
        with self.reading("the list of datasets"):
            return ", ".join(map(repr, islice(self._file, 10))) or "nothing"

    def tree(self) -> list[str]:
        """The names of all datasets, those in groups too; links are not followed."""
        found: list[str] = []
        with self.reading("the list of datasets"):
            self._file.visititems(lambda name, one: found.append(name) if isinstance(one, h5py.Dataset) else None)
        return found

    def dataset(self, name: str) -> h5py.Dataset | None:
        """The dataset of that name, or None if there is none; its shape and type can be read."""
        with self.reading(f"'{name}'"):
            link = self._file.get(name, getlink=True)
            if isinstance(link, h5py.ExternalLink):  # opening it could wait for ever, where it leads to a pipe
                raise ValueError("it is kept in another file; copy it into this one")
            found: Any = self._file[name] if link is not None else None  # a dangling link is damage
            is_dataset = isinstance(found, h5py.Dataset)
            is_elsewhere = is_dataset and (
                found.is_virtual or found.external or found.file.filename != self._file.filename
            )
            if is_dataset:
                _ = found.shape, found.dtype, found.chunks  # damaged ones raise
                if found.fletcher32:
                    _check_checksums_fit(found)
        if found is not None and not is_dataset:
            raise InputError(f"'{name}' in {self.path} is a group; a dataset is expected")
        if is_elsewhere:  # this file's fingerprint would not change with the other file
            raise InputError(f"'{name}' in {self.path} is kept in another file; copy it into this one")
        return found

    def column(
        self, name: str, *, num_events: int, kinds: str, expected: str, entry: tuple[int, ...] = ()
    ) -> np.ndarray | None:
        """The values of a dataset with one entry an event, or None if there is none.

        Args:
            name: the dataset.
            num_events: number of entries it must have.
            kinds: the kinds of numpy types allowed, such as "iu".
            expected: the same in words, for the message.
            entry: shape of an entry.
        """
        dataset = self.dataset(name)
        if dataset is None:
            return None
        shape = (num_events, *entry)
        if dataset.dtype.kind not in kinds or dataset.shape != shape:
            raise InputError(
                f"'{name}' in {self.path} is {dataset.dtype} of shape {dataset.shape}, but 'image' has "
                f"{num_events} events; {expected} of shape {shape} are expected"
            )
        with self.reading(f"'{name}'"):
            return dataset[:]

    @contextmanager
    def reading(self, what: str) -> Iterator[None]:
        """Turn any exception into one sentence: on damaged bytes the HDF5 library raises nearly every type."""
        try:
            yield
        except Exception as error:
            raise InputError(
                f"{what} in {self.path} cannot be read ({_reason(error)}): the file is damaged; copy or make it again"
            ) from error


def _check_checksums_fit(dataset: h5py.Dataset) -> None:
    """Refuse chunks that are shorter than their checksum: the HDF5 library would read beyond its memory."""
    short = dataset.id.chunk_iter(lambda chunk: chunk.size if chunk.size <= CHECKSUM_BYTES else None)
    if short is not None:
        raise ValueError(f"a chunk of {short} bytes has no room for its checksum")


def _open(path: Path) -> h5py.File:
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise InputError(f"{path} is not a file; data.files takes HDF5 files")
        return _open_locked_if_possible(path)
    except InputError:
        raise
    except (FileNotFoundError, NotADirectoryError) as error:
        raise InputError(f"{path} does not exist (looked for in {Path.cwd()}); check data.files") from error
    except PermissionError as error:
        raise InputError(f"{path} may not be read by this user; check its permissions") from error
    except BlockingIOError as error:
        raise InputError(f"{path} is open for writing in another program; close it there first") from error
    except Exception as error:
        problem = "is not an HDF5 file" if "signature not found" in str(error) else "cannot be opened"
        reason = _reason(error)
        raise InputError(f"{path} {problem} ({reason}); a file in the challenge's format is expected") from error


def _open_locked_if_possible(path: Path) -> h5py.File:
    """Open a file with a lock that shows whether another program writes it, or without one where there are no locks."""
    try:
        return h5py.File(path, "r", locking="best-effort")
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        return h5py.File(path, "r", locking=False)


def _reason(error: Exception) -> str:
    """What the HDF5 library says in the parentheses of its message, in one line."""
    text = " ".join(str(error).split())
    inner = text[text.find("(") + 1 : text.rfind(")")] if "(" in text else text
    return inner.strip() or type(error).__name__
