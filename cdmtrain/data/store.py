"""The sparse store: events on disk as (pixel, energy) pairs, memory-mapped, and batches made from it.

A store is a directory: `pixel.i32` and `energy.f32` hold the hits of all events one after another, `events.npz` the
columns with one row an event, `store.json` what the store was made from. The challenge's 59 GB become 0.4 GB.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, ClassVar, Self

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from cdmtrain.batch import EventBatch
from cdmtrain.data.hits import copy_events, locate_events
from cdmtrain.data.store_check import MOST_ABOUT_BYTES, StoreFiles, read_store, regular_file
from cdmtrain.errors import InputError
from cdmtrain.particles import DEFAULT, Classes, class_indices

STORE_VERSION = 1
BUFFER_BYTES = 2**18  # written at a time; the hits of a block are a tenth of that


class StoreWriter:
    """Appends blocks of events to a new store in `directory`; a context manager."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._pixel = (directory / "pixel.i32").open("wb", buffering=BUFFER_BYTES)
        self._energy = (directory / "energy.f32").open("wb", buffering=BUFFER_BYTES)
        self._num_hits: list[np.ndarray] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pixel.close()
        self._energy.close()

    def append(self, offset: np.ndarray, pixel: np.ndarray, energy_mev: np.ndarray) -> None:
        self._pixel.write(np.ascontiguousarray(pixel, "<i4").data)
        self._energy.write(np.ascontiguousarray(energy_mev, "<f4").data)
        self._num_hits.append(np.diff(offset))

    def finish(self, *, columns: dict[str, np.ndarray], about: dict[str, Any]) -> None:
        """Write the per-event columns and the description; all files are on disk when this returns."""
        offset = np.zeros(sum(map(len, self._num_hits)) + 1, np.int64)
        np.cumsum(np.concatenate(self._num_hits), out=offset[1:])
        with (self._directory / "events.npz").open("wb") as stream:
            np.savez(stream, offset=offset, **columns)  # type: ignore[arg-type]
            _sync(stream)
        _sync(self._pixel)
        _sync(self._energy)
        counts = {"num_events": len(offset) - 1, "num_hits": int(offset[-1]), "files": _file_facts(self._directory)}
        with (self._directory / "store.json").open("wb") as stream:
            stream.write(json.dumps({"store_version": STORE_VERSION, **about, **counts}, indent=2).encode())
            _sync(stream)


class EventStore:
    """The events of one or several stores, directories or content in memory, one after another, acting as one store.

    Args:
        sources: directories of stores, or what they hold.
        classes: what the class indices of the events stand for.
    """

    where: ClassVar[str] = "in the memory of the host"

    def __init__(self, sources: Sequence[Path | StoreFiles], classes: Classes = DEFAULT) -> None:
        stores = [source if isinstance(source, StoreFiles) else read_store(source) for source in sources]
        directories = [source for source in sources if isinstance(source, Path)]
        self.about = [store.about for store in stores]
        self.image_size = int(self.about[0]["image_size"])
        columns = [store.columns for store in stores]
        self._first_hit = np.cumsum([0, *(len(store.pixel) for store in stores)])
        self._hits = [(store.pixel, store.energy) for store in stores]
        names = ("pixel.i32", "energy.f32")
        self._hit_files = [(path, path.stat()) for folder in directories for path in (folder / name for name in names)]
        lengths = np.concatenate([np.diff(column["offset"]) for column in columns])
        self.offset: Int[Tensor, " event_plus_1"] = torch.from_numpy(np.concatenate([[0], np.cumsum(lengths)]))
        self.pdg: Int[Tensor, " event"] = _concatenate(columns, "pdg")  # UNKNOWN_PDG where it is not known
        self.class_index: Int[Tensor, " event"] = torch.from_numpy(class_indices(self.pdg.numpy(), classes)).long()
        self.index: Int[Tensor, " event"] = _concatenate(columns, "index")
        shared = set.intersection(*(set(column) for column in columns)) - {"offset", "pdg", "index"}
        self.truth: dict[str, Float[Tensor, " event *component"]] = {
            name: _concatenate(columns, name) for name in sorted(shared)
        }

    def __len__(self) -> int:
        return len(self.class_index)

    @property
    def num_hits(self) -> int:
        return int(self._first_hit[-1])

    @property
    def hit_bytes(self) -> int:
        """What the pixels and energies of all hits take."""
        return sum(pixel.nbytes + energy.nbytes for pixel, energy in self._hits)

    def hits(self, *, at_a_time: int) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
        """All hits in parts: the number of the first hit, pixels (int32) and energies (float32)."""
        for first_hit, (pixel, energy) in zip(self._first_hit.tolist(), self._hits, strict=False):
            for start in range(0, len(pixel), at_a_time):
                part = slice(start, start + at_a_time)
                yield first_hit + start, pixel[part], energy[part]

    def locate(
        self, dataset_index: Int[Tensor, " chosen"]
    ) -> tuple[Int[Tensor, " chosen"], Int[Tensor, " chosen_plus_1"]]:
        """Where the hits of each chosen event begin in the store, and where in a batch of these events."""
        first, offset = torch.empty_like(dataset_index), torch.empty(len(dataset_index) + 1, dtype=torch.int64)
        locate_events(self.offset.numpy(), dataset_index.numpy(), first.numpy(), offset.numpy())
        return first, offset

    def make_batch(self, dataset_index: Int[Tensor, " chosen"]) -> EventBatch:
        """The chosen events, in the order of `dataset_index`; an event may be chosen more than once."""
        self._check_lengths()
        first, offset = self.locate(dataset_index)
        num_hits = int(offset[-1])
        pixel, energy = torch.empty(num_hits, dtype=torch.int64), torch.empty(num_hits)
        for hits, first_hit in zip(self._hits, self._first_hit.tolist(), strict=False):
            copy_events(*hits, first_hit, first.numpy(), offset.numpy(), pixel.numpy(), energy.numpy())
        return EventBatch(
            pixel=pixel,
            energy=energy,
            offset=offset,
            class_index=self.class_index[dataset_index],
            dataset_index=dataset_index,
            image_size=self.image_size,
        )

    def _check_lengths(self) -> None:
        """Refuse a store that was shortened since it was opened: the system ends a process that reads beyond its end.

        A store that is removed stays readable.
        """
        for path, before in self._hit_files:
            with suppress(FileNotFoundError):
                now = path.stat()
                if now.st_ino == before.st_ino and now.st_size < before.st_size:
                    raise InputError(f"{path} was shortened while it was read; remove {path.parent} and start again")


def is_whole(directory: Path) -> bool:
    """Whether `directory` holds a complete store of this program's version."""
    try:
        about = json.loads(regular_file(directory / "store.json", most_bytes=MOST_ABOUT_BYTES).read_bytes())
        return bool(about["store_version"] == STORE_VERSION and about["files"] == _file_facts(directory))
    except (OSError, ValueError, LookupError, TypeError):
        return False


def _file_facts(directory: Path) -> dict[str, Any]:
    """What tells a damaged store: the sizes of the files of hits, which are large, and a digest of the columns."""
    sizes = {name: (directory / name).stat().st_size for name in ("pixel.i32", "energy.f32")}
    with regular_file(directory / "events.npz").open("rb") as stream:
        return {**sizes, "events.npz": hashlib.file_digest(stream, "blake2b").hexdigest()[:32]}


def _sync(stream: IO[bytes]) -> None:
    """Return when everything written is on disk."""
    stream.flush()
    os.fsync(stream.fileno())


def _concatenate(columns: list[dict[str, np.ndarray]], name: str) -> Tensor:
    return torch.from_numpy(np.concatenate([column[name] for column in columns]))
