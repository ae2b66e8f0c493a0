"""Stores are made once: under a fingerprint, under a lock, whole or not at all, in the user's cache directory."""

import hashlib
import json
import logging
import os
import shutil
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
from filelock import FileLock, Timeout
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from cdmtrain.atomic import whole_directory
from cdmtrain.data.events import STORE_VERSION, StoreWriter, is_whole
from cdmtrain.data.hdf5 import TRUTH, ChallengeFile
from cdmtrain.errors import InputError
from cdmtrain.particles import class_indices

log = logging.getLogger(__name__)
Block = TypeVar("Block")

SAMPLE_BYTES = 2**20  # read at the head, the middle and the tail of a file for its fingerprint


class Simulation(Protocol):
    """What is handed in to make `data=simulated`."""

    image_size: int

    def settings(self) -> dict[str, Any]: ...
    def blocks(self, *, events: int, seed: int) -> Iterable[Any]: ...


def file_fingerprint(path: Path) -> str:
    """32 hex digits of a file's size, modification time and three samples of its bytes; not of its place."""
    try:
        with path.open("rb") as stream:
            stat = os.fstat(stream.fileno())
            digest = hashlib.blake2b(f"{STORE_VERSION} {stat.st_size} {stat.st_mtime_ns}".encode(), digest_size=16)
            for start in (0, stat.st_size // 2, max(0, stat.st_size - SAMPLE_BYTES)):
                stream.seek(start)
                digest.update(stream.read(SAMPLE_BYTES))
    except OSError as error:
        raise InputError(f"{path} can no longer be read ({error.strerror}); was it moved or removed?") from error
    return digest.hexdigest()


def load_or_convert(path: Path, cache_dir: Path) -> Path:
    """The store of an HDF5 file, converted in one streaming pass if the cache does not hold it."""
    with ChallengeFile(path) as file:  # even a cached file must still be there and be of the format
        fingerprint = file_fingerprint(path)

        def convert(directory: Path) -> None:
            with StoreWriter(directory) as writer, _progress() as progress:
                task = progress.add_task(f"converting {path.name}", total=file.num_events)
                for offset, pixel, energy in interruptible(file.blocks()):
                    writer.append(offset, pixel, energy)
                    progress.advance(task, len(offset) - 1)
                columns = {"class_index": file.class_index, "index": file.index, **file.truth}
                writer.finish(columns=columns, about=_about(file.image_size, fingerprint, {"file": path.name}))
            if file_fingerprint(path) != fingerprint:
                raise InputError(f"{path} changed while it was read; start again when nothing writes it any more")

        return _made_once(cache_dir / fingerprint, convert, what=f"the conversion of {path}")


def load_or_simulate(simulation: Simulation, *, events: int, seed: int, cache_dir: Path) -> Path:
    """The store of a simulated sample, simulated if the cache does not hold it."""
    made_by = {"events": events, "seed": seed, **simulation.settings()}
    text = json.dumps({"store_version": STORE_VERSION, **made_by}, sort_keys=True)
    fingerprint = hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

    def simulate(directory: Path) -> None:
        columns: dict[str, list[np.ndarray]] = {name: [] for name in ("class_index", *TRUTH)}
        with StoreWriter(directory) as writer, _progress() as progress:
            task = progress.add_task("simulating (compiling at first use)", total=events)
            for block in simulation.blocks(events=events, seed=seed):
                writer.append(block.offset, block.pixel, block.energy_mev)
                columns["class_index"].append(class_indices(block.pdg))
                for name in TRUTH:
                    columns[name].append(getattr(block, name))
                progress.update(task, advance=len(block.pdg), description="simulating")
            joined = {name: np.concatenate(parts) for name, parts in columns.items()}
            joined["index"] = np.arange(events)
            writer.finish(columns=joined, about=_about(simulation.image_size, fingerprint, {"simulation": made_by}))

    return _made_once(cache_dir / fingerprint, simulate, what="the simulation of the same sample")


def _about(image_size: int, fingerprint: str, source: dict[str, Any]) -> dict[str, Any]:
    return {"image_size": image_size, "fingerprint": fingerprint, **source}


def _made_once(directory: Path, make: Callable[[Path], None], *, what: str) -> Path:
    if is_whole(directory):  # needs no lock, and so no right to write: a cache may be shared
        return directory
    new_parents = [parent for parent in directory.parents if not parent.exists()]
    directory.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(directory.with_name(f".{directory.name}.lock"))
    try:
        lock.acquire(blocking=False)
    except Timeout:
        log.info("waiting for %s in another process", what)
        lock.acquire()
    try:
        if not is_whole(directory):
            _clear(directory)
            with whole_directory(directory) as temporary:
                make(temporary)
    except InputError:  # of a file that cannot be used nothing stays; whoever waits for it will say the same
        Path(lock.lock_file).unlink(missing_ok=True)
        for parent in new_parents:
            with suppress(OSError):  # something else is in it
                parent.rmdir()
        raise
    finally:
        lock.release()
    return directory


def interruptible(blocks: Iterable[Block]) -> Iterator[Block]:
    """The same blocks; Ctrl-C and SIGTERM wait for the end of one, as h5py swallows exceptions while it cleans up."""
    if threading.current_thread() is not threading.main_thread():
        yield from blocks
        return
    asked: list[int] = []
    before = {number: signal.signal(number, lambda n, _: asked.append(n)) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        for block in blocks:
            if asked:
                raise KeyboardInterrupt
            yield block
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _clear(directory: Path) -> None:
    """Remove what killed processes left of this store; the lock is ours, so nobody is writing it."""
    for left in (directory, *directory.parent.glob(f".{directory.name}.*.tmp")):
        shutil.rmtree(left, ignore_errors=True)


def _progress() -> Progress:
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console()
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
