"""Open .npy, .npz, .pt and HDF5 files as named arrays that are read block by block."""

import math
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import IO, Any

import h5py
import numpy as np
import torch

from cdmtrain.data.conversion.source import Array, Source, source_of
from cdmtrain.data.hdf5_datasets import CheckedFile
from cdmtrain.errors import InputError

SINGLE = "array"  # the name of the array in a file that holds one without a name


@contextmanager
def open_arrays(path: Path, keys: Mapping[str, Any]) -> Iterator[Source]:
    """Open a file of arrays for conversion.

    Raises:
        InputError: for a file that is damaged or holds something else than arrays of numbers.
    """
    openers = {".npy": _npy, ".npz": _npz, ".pt": _torch, ".pth": _torch}
    with ExitStack() as stack:
        yield source_of(path, openers.get(path.suffix.lower(), _hdf5)(path, stack), keys)


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn what a reader raises on damaged bytes into one sentence."""
    try:
        yield
    except InputError:
        raise
    except FileNotFoundError as error:
        raise InputError(f"input={path} does not exist") from error
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{path} cannot be read ({reason}); it is damaged, or holds more than arrays") from error


def _npy(path: Path, stack: ExitStack) -> dict[str, Array]:
    with reading(path):
        whole = np.load(path, mmap_mode="r", allow_pickle=False)
    return {SINGLE: in_memory(whole)}


def _npz(path: Path, stack: ExitStack) -> dict[str, Array]:
    """Members of the archive are read from their streams: a compressed one may be larger than the memory."""
    with reading(path):
        archive = stack.enter_context(zipfile.ZipFile(path))
        names = [name for name in archive.namelist() if name.endswith(".npy")]
        return {name.removesuffix(".npy"): _member(path, archive, name) for name in names}


def _member(path: Path, archive: zipfile.ZipFile, name: str) -> Array:
    with archive.open(name) as stream:
        shape, fortran, dtype = _header(stream)
    if dtype.hasobject:
        raise InputError(f"{name!r} in {path} holds Python objects, which are not read; save it as an array of numbers")
    if fortran and len(shape) > 1:  # rows are not one after another
        with archive.open(name) as stream:
            return in_memory(np.lib.format.read_array(stream, allow_pickle=False))
    return Array(shape, dtype, partial(_stream, path, archive, name))


def _header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    version = np.lib.format.read_magic(stream)
    if version not in readers:
        raise ValueError(f"version {version} of the array format")
    return readers[version](stream)


def _stream(path: Path, archive: zipfile.ZipFile, name: str, rows: int) -> Iterator[np.ndarray]:
    with reading(path), archive.open(name) as stream:
        shape, _, dtype = _header(stream)
        row_bytes = dtype.itemsize * math.prod(shape[1:])
        for first in range(0, shape[0] if shape else 0, rows):
            count = min(rows, shape[0] - first)
            content = stream.read(count * row_bytes)
            if len(content) != count * row_bytes:
                raise ValueError(f"{name} ends at row {first + len(content) // max(row_bytes, 1)} of {shape[0]}")
            yield np.frombuffer(content, dtype).reshape(count, *shape[1:])


def _torch(path: Path, stack: ExitStack) -> dict[str, Array]:
    """A tensor, a mapping of tensors, or images and labels as a pair."""
    with reading(path):
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    if isinstance(content, torch.Tensor):
        content = {SINGLE: content}
    if isinstance(content, list | tuple) and len(content) == 2:
        content = dict(zip(("images", "labels"), content, strict=True))
    tensors = content if isinstance(content, dict) else {}
    return {str(name): in_memory(one.numpy()) for name, one in tensors.items() if isinstance(one, torch.Tensor)}


def _hdf5(path: Path, stack: ExitStack) -> dict[str, Array]:
    with reading(path):
        file = CheckedFile(path)
        stack.callback(file.close)
        return {name: _dataset(file, name) for name in file.tree()}


def _dataset(file: CheckedFile, name: str) -> Array:
    found = file.dataset(name)
    assert found is not None

    def blocks(rows: int) -> Iterator[np.ndarray]:
        for first in range(0, found.shape[0] if found.shape else 0, rows):
            with file.reading(f"'{name}' entries from {first} on"):
                part = found.asstr()[first : first + rows] if h5py.check_string_dtype(found.dtype) else None
                yield found[first : first + rows] if part is None else part.astype(str)

    return Array(found.shape or (), found.dtype, blocks)


def in_memory(whole: np.ndarray) -> Array:
    """An array that is in memory already."""

    def blocks(rows: int) -> Iterator[np.ndarray]:
        for first in range(0, len(whole) if whole.ndim else 0, rows):
            yield whole[first : first + rows]

    return Array(whole.shape, whole.dtype, blocks)
