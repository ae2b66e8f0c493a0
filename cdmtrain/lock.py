"""A lock that one process of all machines holds at a time, also where the file system has no locks.

The kernel releases its locks when a process ends. Where the file system has none (NFS without lockd, Lustre without
`flock`), a file beside the lock's file takes their place: its owner renews it, and one that is no longer renewed is
taken over.
"""

import errno
import getpass
import logging
import os
import secrets
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from cdmtrain.errors import Locked
from cdmtrain.liveness import identity, is_alive

HELD = (errno.EAGAIN, errno.EACCES)  # what flock(2) answers where another process holds the lock
NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)  # and where there are no locks
RENEWED_EVERY_SECONDS = 5.0
ABANDONED_AFTER_SECONDS = 30.0  # without being renewed
PAUSE_SECONDS = 0.2  # between two attempts

log = logging.getLogger(__name__)


class Lock:
    """The lock of the file `path`, which is made where it is absent and stays when the lock is released."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None
        self._mark: _Mark | None = None

    def try_acquire(self) -> bool:
        """Take the lock if it is free; return whether this process holds it now.

        Raises:
            OSError: where the file cannot be made or opened.
        """
        self._descriptor = _open(self.path)
        taken = False
        try:
            taken = self._take(self._descriptor)
        finally:
            if not taken:
                self._close()
        if taken:
            self._write_owner()
        return taken

    def acquire(self, *, patience_seconds: float | None = None, waiting: Callable[[str], None] | None = None) -> None:
        """Wait for the lock.

        Args:
            patience_seconds: wait no longer than this; None to wait as long as it takes. Where the file system has no
                locks, wait until it is known whether the owner lives.
            waiting: called once, if the lock is not free at once, with its owner.

        Raises:
            Locked: when the patience is over; its message is the owner.
        """
        began = time.monotonic()
        while not self.try_acquire():
            if waiting:
                waiting(self.owner)
                waiting = None
            is_known = self._mark is None or self._mark.has_live_owner
            if is_known and patience_seconds is not None and time.monotonic() - began > patience_seconds:
                raise Locked(self.owner)
            time.sleep(PAUSE_SECONDS)

    def release(self) -> None:
        if self._mark:
            self._mark.remove()
            self._mark = None
        self._close()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Wait for the lock and hold it for a while."""
        self.acquire()
        try:
            yield
        finally:
            self.release()

    @property
    def owner(self) -> str:
        """The process that holds the lock, or held it last, such as "process 17 of alice on node01"."""
        with suppress(OSError, UnicodeDecodeError), self.path.open(encoding="utf-8") as file:
            return "".join(filter(str.isprintable, file.readline(200))) or "another process"
        return "another process"

    def _take(self, descriptor: int) -> bool:
        import fcntl  # which Windows lacks

        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in HELD:
                return False
            if error.errno not in NO_LOCKS:
                raise
            _warn_once(f"{self.path.parent} is on a file system without locks ({error.strerror}); a file replaces one")
            self._mark = self._mark or _Mark(self)
            return self._mark.make()
        return os.fstat(descriptor).st_nlink > 0  # the last owner may have removed the file

    def _write_owner(self) -> None:
        with suppress(OSError):  # a full disk, or the file of another user
            assert self._descriptor is not None
            before = os.fstat(self._descriptor)
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, _this_process().encode(), 0)
            os.utime(self._descriptor, ns=(before.st_atime_ns, before.st_mtime_ns))  # a finished run stays as it is

    def _close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)  # also releases the lock of the kernel
            self._descriptor = None


class _Mark:
    """A file that exists while a process holds a lock, renewed by a thread of that process."""

    def __init__(self, lock: Lock) -> None:
        self._lock = lock
        self._path = lock.path.with_name(f"{lock.path.name}.held")
        self._name = secrets.token_hex(16)
        self._token = f"{self._name} {identity()}"
        self._released = threading.Event()
        self._seen: tuple[str, float] | None = None  # another owner's token with its last renewal
        self._seen_since = 0.0
        self.has_live_owner = False  # whether another owner lives here, or was seen to renew it

    def make(self) -> bool:
        """Make the file, or take it over; return whether it is ours."""
        try:
            descriptor = os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
        except FileExistsError:
            if not self._is_abandoned():
                return False
            self._remove_abandoned()
            return self.make()
        with os.fdopen(descriptor, "w") as file:
            file.write(self._token)
        threading.Thread(target=self._renew, daemon=True).start()
        return True

    def remove(self) -> None:
        self._released.set()
        with suppress(OSError):
            if _read(self._path) == self._token:
                self._path.unlink()

    def _is_abandoned(self) -> bool:
        """Whether another owner is dead, or has not renewed the file for long by the clock of the file system or ours.

        An owner on this machine keeps its lock as long as it lives, even while it is stopped.
        """
        with suppress(FileNotFoundError):
            now, seen = time.monotonic(), (_read(self._path), self._path.stat().st_mtime)
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
            with suppress(OSError):
                if self._path.exists() and _read(self._path) != self._token:
                    sentence = f"{self._lock.owner} took over {self._path.parent}, as this process stood still for long"
                    print(f"error: {sentence}", file=sys.stderr, flush=True)
                    os._exit(1)  # two owners would spoil each other's files
                os.utime(self._path)

    def _remove_abandoned(self) -> None:
        aside = self._path.with_name(f"{self._path.name}.{self._name}.tmp")
        with suppress(OSError):
            os.rename(self._path, aside)  # one process alone can do this
            if self._seen is None or _read(aside) != self._seen[0]:
                os.link(aside, self._path)  # another process was faster: give it back
            os.unlink(aside)


def _open(path: Path) -> int:
    """Open a lock's file, which another user may have made, for writing where that is allowed."""
    for flags in (os.O_RDWR | os.O_CREAT, os.O_RDWR):
        with suppress(PermissionError):
            return os.open(path, flags | os.O_CLOEXEC, 0o644)
    return os.open(path, os.O_RDONLY | os.O_CLOEXEC)


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")


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


def _this_process() -> str:
    try:
        user = f" of {getpass.getuser()}"
    except (OSError, KeyError):  # the user of a container may have no name
        user = ""
    return f"process {os.getpid()}{user} on {socket.gethostname()}\n"


_warned: set[str] = set()


def _warn_once(sentence: str) -> None:
    if sentence not in _warned:
        _warned.add(sentence)
        log.warning(sentence)
