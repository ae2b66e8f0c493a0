"""The sparse store: events as (pixel, energy) pairs on disk, memory-mapped, and batches gathered from it.

A store is a directory: `pixel.i32` and `energy.f32` hold the hits of all events one after another, `events.npz` the
columns with one row an event, `store.json` what it was made from. The challenge's 59 GB become 0.4 GB.
"""

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, Self

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from cdmtrain.batch import EventBatch

STORE_VERSION = 1


class StoreWriter:
    """Appends blocks of events to a new store in `directory`; a context manager."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._pixel = (directory / "pixel.i32").open("wb")
        self._energy = (directory / "energy.f32").open("wb")
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
        """Write the per-event columns and the description; the files are on disk when this returns."""
        offset = np.zeros(sum(map(len, self._num_hits)) + 1, np.int64)
        np.cumsum(np.concatenate(self._num_hits), out=offset[1:])
        with (self._directory / "events.npz").open("wb") as stream:
            np.savez(stream, offset=offset, **columns)  # type: ignore[arg-type]
            _to_disk(stream)
        _to_disk(self._pixel)
        _to_disk(self._energy)
        counts = {"num_events": len(offset) - 1, "num_hits": int(offset[-1]), "files": _files(self._directory)}
        with (self._directory / "store.json").open("wb") as stream:
            stream.write(json.dumps({"store_version": STORE_VERSION, **about, **counts}, indent=2).encode())
            _to_disk(stream)


class EventStore:
    """Events of one or several store directories, one after another, acting as one."""

    def __init__(self, directories: Sequence[Path]) -> None:
        self.about = [json.loads((directory / "store.json").read_text()) for directory in directories]
        self.image_size = int(self.about[0]["image_size"])
        columns = [_columns(directory) for directory in directories]
        num_hits = [int(about["num_hits"]) for about in self.about]
        self._first_hit = np.cumsum([0, *num_hits])
        self._pixel = [_mapped(d / "pixel.i32", "<i4", n) for d, n in zip(directories, num_hits, strict=True)]
        self._energy = [_mapped(d / "energy.f32", "<f4", n) for d, n in zip(directories, num_hits, strict=True)]
        lengths = np.concatenate([np.diff(column["offset"]) for column in columns])
        self.offset: Int[Tensor, " event_plus_1"] = torch.from_numpy(np.concatenate([[0], np.cumsum(lengths)]))
        self.class_index: Int[Tensor, " event"] = _joined(columns, "class_index").long()
        self.index: Int[Tensor, " event"] = _joined(columns, "index")
        shared = set.intersection(*(set(column) for column in columns)) - {"offset", "class_index", "index"}
        self.truth: dict[str, Float[Tensor, " event *component"]] = {n: _joined(columns, n) for n in sorted(shared)}

    def __len__(self) -> int:
        return len(self.class_index)

    def gather(self, entries: Int[Tensor, " chosen"]) -> EventBatch:
        """The chosen events, in the order of `entries`."""
        first = self.offset[entries]
        offset = torch.zeros(len(entries) + 1, dtype=torch.int64)
        torch.cumsum(self.offset[entries + 1] - first, 0, out=offset[1:])
        total = int(offset[-1])
        hit = (first - offset[:-1]).repeat_interleave(offset.diff(), output_size=total) + torch.arange(total)
        return EventBatch(
            pixel=self._take(self._pixel, hit).long(),
            energy=self._take(self._energy, hit),
            offset=offset,
            class_index=self.class_index[entries],
            entry=entries,
            image_size=self.image_size,
        )

    def _take(self, parts: list[Tensor], hit: Int[Tensor, " hit"]) -> Tensor:
        if len(parts) == 1:
            return parts[0].index_select(0, hit)
        taken = torch.empty(len(hit), dtype=parts[0].dtype)
        for part, first in zip(parts, self._first_hit.tolist(), strict=False):
            mine = ((hit >= first) & (hit < first + len(part))).nonzero().squeeze(1)
            taken[mine] = part.index_select(0, hit[mine] - first)
        return taken


def is_whole(directory: Path) -> bool:
    """Whether `directory` holds a complete store of this program's version."""
    try:
        about = json.loads((directory / "store.json").read_bytes())
        return bool(about["store_version"] == STORE_VERSION and about["files"] == _files(directory))
    except (OSError, ValueError, LookupError, TypeError):
        return False


def _files(directory: Path) -> dict[str, Any]:
    """What a damaged store would not have: the size of the hits' files, which are large, the digest of the columns."""
    sizes = {name: (directory / name).stat().st_size for name in ("pixel.i32", "energy.f32")}
    with (directory / "events.npz").open("rb") as stream:
        return {**sizes, "events.npz": hashlib.file_digest(stream, "blake2b").hexdigest()[:32]}


def _to_disk(stream: IO[bytes]) -> None:
    stream.flush()
    os.fsync(stream.fileno())


def _columns(directory: Path) -> dict[str, np.ndarray]:
    with np.load(directory / "events.npz") as columns:
        return dict(columns)


def _mapped(path: Path, dtype: str, length: int) -> Tensor:
    if length == 0:
        return torch.from_numpy(np.empty(0, dtype))
    return torch.from_numpy(np.memmap(path, dtype, mode="c", shape=(length,)))


def _joined(columns: list[dict[str, np.ndarray]], name: str) -> Tensor:
    return torch.from_numpy(np.concatenate([column[name] for column in columns]))
