"""Compile loops with numba, at first use, and keep the machine code in the user's cache.

Another process compiles, because numba's compiler keeps some 100 to 270 MB until its process ends. A cache that cannot
be used costs compilation in every process, and never the work: one warning says why.
"""

import atexit
import base64
import importlib
import json
import logging
import os
import pickle
import select
import stat
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import numba

# private: numba has no other way to survive a cache that fails, nor to keep nothing beside the sources
from numba.core.caching import CompileResultCacheImpl, FunctionCache, UserProvidedCacheLocator

log = logging.getLogger(__name__)
IDLE_SECONDS = 10
_servers: dict[int, subprocess.Popen[str]] = {}  # by the process that started them
apart = True  # whether another process compiles; false in that process


class UsersFiles(CompileResultCacheImpl):
    """Files in `cache_directory` alone: pip would leave those beside the sources, and they would shadow an update."""

    _locator_classes = [UserProvidedCacheLocator]  # noqa: RUF012  (numba declares it so)


class SafeCache(FunctionCache):
    """numba's cache of one function; what cannot be read or written there is compiled.

    numba raises at the call of the function where the disk is full, and where a file of the cache is damaged. It
    unpickles what it finds, which runs code: files that another user can have written are not read.
    """

    _impl_class = UsersFiles

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function)
        try:
            Path(self.cache_path).mkdir(mode=0o700, exist_ok=True)  # whatever the umask, as numba would not
            _check_files(Path(self.cache_path))
        except OSError as error:
            _warn_once(f"{self.cache_path} is not used ({error.strerror})")
            self.disable()

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            found = super().load_overload(sig, target_context)
            if found is None and self._enabled and _compile_apart(self._py_func, sig):
                found = super().load_overload(sig, target_context)
            return found
        except Exception as error:  # unpickling damaged bytes raises nearly every type
            _warn_once(f"{self.cache_path} has files that cannot be read ({error}); remove that directory")

    def save_overload(self, sig: Any, data: Any) -> None:
        try:
            super().save_overload(sig, data)
        except OSError as error:
            _warn_once(f"{self.cache_path} cannot keep machine code ({error.strerror})")


def jit(function: Callable[..., Any], **options: Any) -> Any:
    """The same function as machine code, which releases the GIL while it runs; with options of numba.njit."""
    dispatcher: Any = numba.njit(nogil=True, **options)(function)
    if cache_directory() is not None:
        with suppress(RuntimeError):  # numba keeps nothing of a function that has no source
            dispatcher._cache = SafeCache(function)  # what enable_caching does
    return dispatcher


def _compile_apart(function: Callable[..., Any], signature: Any) -> bool:
    """Whether another process has compiled a function of a module; what goes wrong there goes wrong again here."""
    if not apart:
        return False
    names = [function.__module__, function.__qualname__, base64.b64encode(pickle.dumps(signature)).decode()]
    try:
        server = _servers.get(os.getpid())  # a forked process has none yet
        if server is None or server.poll() is not None:
            server = _servers[os.getpid()] = _start_server()
    except OSError:
        return False
    try:
        print(json.dumps(names), file=server.stdin, flush=True)
        return bool(server.stdout and server.stdout.readline())
    except OSError:
        return False
    except BaseException:  # Ctrl-C: nobody waits for this answer
        _end(server)
        raise


def _start_server() -> subprocess.Popen[str]:
    command = [sys.executable, "-P", "-c", "from cdmtrain.compiled import serve; serve()"]
    pipe, nowhere = subprocess.PIPE, subprocess.DEVNULL
    server = subprocess.Popen(command, text=True, start_new_session=True, stdin=pipe, stdout=pipe, stderr=nowhere)
    atexit.register(_end, server)
    return server


def _end(server: subprocess.Popen[str]) -> None:
    server.kill()
    server.communicate()


def serve() -> None:
    """Compile what is asked for on the standard input, until nothing more is asked for a while."""
    global apart
    apart = False
    while select.select([sys.stdin], [], [], IDLE_SECONDS)[0] and (line := sys.stdin.readline()):
        module, name, signature = json.loads(line)
        getattr(importlib.import_module(module), name).compile(pickle.loads(base64.b64decode(signature)))
        print("compiled", flush=True)


@cache
def cache_directory() -> Path | None:
    """The directory where machine code is kept, one that this user alone can write to; None where there is none."""
    chosen = getattr(numba.config, "CACHE_DIR", "")
    base = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"))
    directory = Path(chosen) if chosen else base / "cdmtrain"
    try:
        if not directory.is_absolute():
            raise OSError(None, "this user has no home directory")
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        _check_private(directory)
    except OSError as error:
        _warn_once(f"{directory} cannot keep machine code ({error.strerror})")
        return None
    vars(numba.config)["CACHE_DIR"] = str(directory)
    return directory


@cache
def _check_files(directory: Path) -> None:
    """Refuse a directory of compiled functions that another user has, or can have, put code into."""
    found = directory.lstat()
    can_enter = found.st_mode & 0o011
    for path in directory.iterdir():
        status = path.lstat()
        is_open = can_enter and status.st_mode & 0o022
        if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid() or is_open:
            raise OSError(None, f"{path.name} is not this user's alone: remove the directory")
    if stat.S_ISLNK(found.st_mode):
        raise OSError(None, "it is a link: remove it")
    _check_private(directory)


def _check_private(directory: Path) -> None:
    """Refuse a directory in which another user can plant code."""
    found = directory.stat()
    if found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise OSError(None, "another user can write to it, whose code would run here: chmod go-w")
    if not os.access(directory, os.W_OK):
        raise OSError(None, "it is not writable")


@cache
def _warn_once(reason: str) -> None:
    log.warning("%s: functions are compiled anew in every process", reason)
