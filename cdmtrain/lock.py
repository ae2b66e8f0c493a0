"""A lock that one process of all machines holds at a time, also where the file system has no locks.

The kernel releases its locks when a process ends. Where the file system has none (NFS without lockd, Lustre without
`flock`), a file beside the lock's file takes their place.
"""

import errno
import getpass
import logging
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from cdmtrain.errors import InputError, Locked
from cdmtrain.existence_lock import ExistenceLock, open_file, read_start

HELD = (errno.EAGAIN, errno.EACCES)  # what flock(2) answers where another process holds the lock
OWNER = b"process "  # how the name of an owner begins
NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)  # and where there are no locks
PAUSE_SECONDS = 0.2  # between two attempts

log = logging.getLogger(__name__)


class Lock:
    """The lock of the file `path`, which is made where it is absent and stays when the lock is released."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None
        self._mark: ExistenceLock | None = None

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
            self._mark.release()
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
        with suppress(OSError, InputError):
            return "".join(filter(str.isprintable, read_start(self.path).partition("\n")[0])) or "another process"
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
            self._mark = self._mark or ExistenceLock(self.path.with_name(f"{self.path.name}.held"), lambda: self.owner)
            return self._mark.try_acquire()
        return os.fstat(descriptor).st_nlink > 0  # the last owner may have removed the file

    def _write_owner(self) -> None:
        with suppress(OSError):  # a full disk, or the file of another user
            assert self._descriptor is not None
            before = os.fstat(self._descriptor)
            if os.pread(self._descriptor, len(OWNER), 0) not in (b"", OWNER):
                return  # a hard link to a file of something else
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, _this_process().encode(), 0)
            os.utime(self._descriptor, ns=(before.st_atime_ns, before.st_mtime_ns))  # a finished run stays as it is

    def _close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)  # also releases the lock of the kernel
            self._descriptor = None


def _open(path: Path) -> int:
    """Open a lock's file, which another user may have made, for writing where that is allowed."""
    for flags in (os.O_RDWR | os.O_CREAT, os.O_RDWR):
        with suppress(PermissionError):
            return open_file(path, flags)
    return open_file(path, os.O_RDONLY)


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
