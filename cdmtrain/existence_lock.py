"""A lock for file systems that have none: a file that exists while a process holds it.

Its owner renews it; one that is no longer renewed, or whose owner is dead, is taken over.
"""

import errno
import os
import secrets
import stat
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from cdmtrain.errors import InputError
from cdmtrain.liveness import identity, is_alive

RENEWED_EVERY_SECONDS = 5.0
ABANDONED_AFTER_SECONDS = 30.0  # without being renewed
NO_FILE = (errno.ELOOP, errno.EISDIR, errno.ENXIO)  # of a link, a directory, a socket


class ExistenceLock:
    """The file `path`, renewed by a thread of the process that holds it.

    Args:
        path: of the file, which is made and removed.
        owner: names the process that holds the lock, for another that had it before.
    """

    def __init__(self, path: Path, owner: Callable[[], str]) -> None:
        self._path = path
        self._owner = owner
        self._name = secrets.token_hex(16)
        self._token = f"{self._name} {identity()}"
        self._released = threading.Event()
        self._seen: tuple[str, float] | None = None  # another owner's token with its last renewal
        self._seen_since = 0.0
        self.has_live_owner = False  # whether another owner lives here, or was seen to renew it

    def try_acquire(self) -> bool:
        """Make the file, or take it over; return whether it is ours."""
        try:
            descriptor = os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
        except FileExistsError:
            if not self._is_abandoned():
                return False
            self._remove_abandoned()
            return self.try_acquire()
        with os.fdopen(descriptor, "w") as file:
            file.write(self._token)
        threading.Thread(target=self._renew, daemon=True).start()
        return True

    def release(self) -> None:
        self._released.set()
        with suppress(OSError):
            if read_start(self._path) == self._token:
                self._path.unlink()

    def _is_abandoned(self) -> bool:
        """Whether another owner is dead, or has not renewed the file for long by the clock of the file system or ours.

        An owner on this machine keeps its lock as long as it lives, even while it is stopped.
        """
        with suppress(FileNotFoundError):
            now, seen = time.monotonic(), (read_start(self._path), self._path.stat().st_mtime)
            alive = is_alive(seen[0].partition(" ")[2])
            if self._seen != seen or alive:
                self.has_live_owner = bool(alive or (self._seen and self._seen[0] == seen[0]))
                self._seen, self._seen_since = seen, now
            if alive is not None:
                return not alive
            if now - self._seen_since > ABANDONED_AFTER_SECONDS:
                return True
            return file_system_time(self._path.parent) - seen[1] > ABANDONED_AFTER_SECONDS
        return False

    def _renew(self) -> None:
        while not self._released.wait(RENEWED_EVERY_SECONDS):
            with suppress(OSError, InputError):
                if self._path.exists() and read_start(self._path) != self._token:
                    sentence = f"{self._owner()} took over {self._path.parent}, as this process stood still for long"
                    print(f"error: {sentence}", file=sys.stderr, flush=True)
                    os._exit(1)  # two owners would spoil each other's files
                os.utime(self._path)

    def _remove_abandoned(self) -> None:
        aside = self._path.with_name(f"{self._path.name}.{self._name}.tmp")
        with suppress(OSError):
            os.rename(self._path, aside)  # one process alone can do this
            if self._seen is None or read_start(aside) != self._seen[0]:
                os.link(aside, self._path)  # another process was faster: give it back
            os.unlink(aside)


def open_file(path: Path, flags: int) -> int:
    """Open an ordinary file; no link is followed and nothing is waited for.

    Raises:
        InputError: for a link, which may lead anywhere, a pipe, or a directory.
    """
    safe = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        descriptor = os.open(path, flags | safe, 0o644)
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            return descriptor
        os.close(descriptor)
    except OSError as error:
        if error.errno not in NO_FILE:
            raise
    raise InputError(f"{path} is a link, a pipe or a directory, where the file of a lock belongs; remove it")


def read_start(path: Path) -> str:
    """The beginning of a small file."""
    descriptor = open_file(path, os.O_RDONLY)
    try:
        return os.read(descriptor, 300).decode(errors="replace")
    finally:
        os.close(descriptor)


def file_system_time(folder: Path) -> float:
    """The time by the clock that stamps the files of a folder, which may be that of a server, in seconds.

    Raises:
        OSError: where this process may not write into the folder.
    """
    probe = folder / f".{secrets.token_hex(8)}.tmp"
    try:
        os.close(os.open(probe, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        return probe.stat().st_mtime
    finally:
        probe.unlink(missing_ok=True)
