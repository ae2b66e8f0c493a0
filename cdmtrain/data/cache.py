"""Build each sparse store once, atomically and under a lock, in a cache directory; its name is a fingerprint."""

import errno
import hashlib
import json
import logging
import os
import shutil
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from cdmtrain.atomic import whole_directory
from cdmtrain.data.hdf5 import TRUTH, ChallengeFile
from cdmtrain.data.store import STORE_VERSION, StoreWriter, is_whole
from cdmtrain.errors import InputError
from cdmtrain.lock import Lock

log = logging.getLogger(__name__)
T = TypeVar("T")

OWN_CACHE = Path("outputs/cache")  # used where another cache belongs to somebody else
NOT_OURS = (errno.EACCES, errno.EPERM, errno.EROFS)
SAMPLE_BYTES = 2**20  # read at the beginning, the middle and the end of a file for its fingerprint


class Simulation(Protocol):
    """What `data=simulated` needs of a simulation."""

    image_size: int

    def settings(self) -> dict[str, Any]: ...
    def only(self, codes: Sequence[int]) -> "Simulation": ...
    def blocks(self, *, events: int, seed: int, workers: int | None = None) -> Iterable[Any]: ...


def file_fingerprint(path: Path) -> str:
    """32 hex digits from the size, the modification time and three samples of a file; not from its name or folder."""
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
    """The store of an HDF5 file, converted in one pass if the cache does not hold it."""
    with ChallengeFile(path) as file:  # a file whose store is cached must be of the format too
        fingerprint = file_fingerprint(path)

        def convert(directory: Path) -> None:
            with StoreWriter(directory) as writer, _progress() as progress:
                task = progress.add_task(f"converting {path.name}", total=file.num_events)
                for block in interruptible(file.blocks()):
                    writer.append(*block)
                    progress.advance(task, len(block.offset) - 1)
                columns = {"pdg": file.pdg, "index": file.index, **file.truth}
                about = {"image_size": file.image_size, "fingerprint": fingerprint, "file": path.name}
                writer.finish(columns=columns, about=about)
            if file_fingerprint(path) != fingerprint:
                raise InputError(f"{path} changed while it was read; start again when nothing writes it any more")

        return _build_once(cache_dir / fingerprint, convert, what=f"the conversion of {path}")


def load_or_simulate(simulation: Simulation, *, events: int, seed: int, cache_dir: Path) -> Path:
    """The store of a simulated sample, simulated if the cache does not hold it."""
    sample = {"events": events, "seed": seed, **simulation.settings()}
    text = json.dumps({"store_version": STORE_VERSION, **sample}, sort_keys=True)
    fingerprint = hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

    def simulate(directory: Path) -> None:
        columns: dict[str, list[np.ndarray]] = {name: [] for name in ("pdg", *TRUTH)}
        with StoreWriter(directory) as writer, _progress() as progress:
            task = progress.add_task("simulating (compiling at first use)", total=events)
            for block in simulation.blocks(events=events, seed=seed):
                writer.append(block.offset, block.pixel, block.energy_mev)
                for name, parts in columns.items():
                    parts.append(getattr(block, name))
                progress.update(task, advance=len(block.pdg), description="simulating")
            whole = {name: np.concatenate(parts) for name, parts in columns.items()}
            about = {"image_size": simulation.image_size, "fingerprint": fingerprint, "simulation": sample}
            writer.finish(columns={**whole, "index": np.arange(events)}, about=about)

    return _build_once(cache_dir / fingerprint, simulate, what="the simulation of the same sample")


def _build_once(directory: Path, build: Callable[[Path], None], *, what: str) -> Path:
    """The directory, built by one process while the others wait; `what` tells them for what.

    A store that another user's rights keep from this one is built in OWN_CACHE instead.
    """
    try:
        return _build_in(directory, build, what=what)
    except OSError as error:
        if error.errno not in NOT_OURS or directory.parent == OWN_CACHE:
            raise
        log.warning("%s: %s; %s is used instead", error.filename or directory, error.strerror, OWN_CACHE)
        return _build_in(OWN_CACHE / directory.name, build, what=what)


def _build_in(directory: Path, build: Callable[[Path], None], *, what: str) -> Path:
    if is_whole(directory):  # no lock: a shared cache may not be writable
        return directory
    new_parents = [parent for parent in directory.parents if not parent.exists()]
    directory.parent.mkdir(parents=True, exist_ok=True)
    lock = Lock(directory.with_name(f".{directory.name}.lock"))
    lock.acquire(waiting=lambda owner: log.info("waiting for %s by %s", what, owner))
    try:
        if not is_whole(directory):
            _remove_leftovers(directory)
            with whole_directory(directory) as temporary:
                build(temporary)
    except InputError:  # an unusable file leaves nothing behind; processes that wait will find the same
        lock.path.unlink(missing_ok=True)
        for parent in new_parents:
            with suppress(OSError):  # not empty
                parent.rmdir()
        raise
    finally:
        lock.release()
    return directory


def _remove_leftovers(directory: Path) -> None:
    """Remove what killed processes left of this store; the lock is ours, so no process is writing it."""
    for leftover in (directory, *directory.parent.glob(f".{directory.name}.*.tmp")):
        shutil.rmtree(leftover, ignore_errors=True)
    if directory.exists():
        reason = f"this store of {_owner(directory)} can be neither read nor replaced"
        raise PermissionError(errno.EACCES, reason, str(directory))


def _owner(path: Path) -> str:
    try:
        return path.owner()
    except KeyError:
        return f"user {path.stat().st_uid}"


def interruptible(blocks: Iterable[T]) -> Iterator[T]:
    """The same blocks, but Ctrl-C and SIGTERM wait for the end of one: h5py swallows exceptions while it cleans up."""
    if threading.current_thread() is not threading.main_thread():
        yield from blocks
        return
    received: list[int] = []
    signals = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, lambda n, _: received.append(n)) for number in signals}
    try:
        for block in blocks:
            if received:
                raise KeyboardInterrupt
            yield block
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _progress() -> Progress:
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console()
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
