"""Write files and directories atomically: under a temporary name beside the target, on disk, then renamed.

A file that is whole for other processes may still be empty after a power cut, unless its content is on disk before it
is renamed and its directory afterwards (fsync(2)). What a killed process left is removed by the next one that writes
the same file.
"""

import errno
import json
import math
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from glob import escape
from pathlib import Path
from typing import Any

from cdmtrain.liveness import identity, machine_digest

LIST_OF_NUMBERS = re.compile(r'\[\n([^][{}"]+)\]')  # of indented JSON, in which a text has no line breaks


@contextmanager
def whole_file(path: Path, *, synced: bool = True) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it becomes `path`, on any error it is removed.

    Args:
        path: the file to write.
        synced: whether the file is on disk afterwards; false for what can be made again.

    Raises:
        OSError: with the name of `path` where the error has none, as that of a full disk.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _temporary(path)
    try:
        yield temporary
        replace(temporary, path, synced=synced)
    except OSError as error:
        error.filename = error.filename or str(path)
        raise
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def replace(temporary: Path, path: Path, *, synced: bool = True) -> None:
    """Rename `temporary` to `path`; where `synced`, both the content and the name are on disk afterwards."""
    if synced:
        _sync(temporary)
    os.replace(temporary, path)
    if synced:
        _sync(path.parent)


def set_aside(path: Path) -> Path:
    """Rename a file or directory to a free name beside it, `<name>.damaged-1` or the next; return that name."""
    number = 1
    while (aside := path.with_name(f"{path.name}.damaged-{number}")).exists():
        number += 1
    path.rename(aside)
    return aside


@contextmanager
def whole_directory(path: Path) -> Iterator[Path]:
    """Yield a new empty directory beside `path`; on success it becomes `path`, on any error it is removed."""
    temporary = _temporary(path)
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        yield temporary
        replace(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_text(path: Path, text: str, *, synced: bool = True) -> None:
    """Write `text` to `path` atomically."""
    with whole_file(path, synced=synced) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write `content` to `path` atomically, as indented JSON with a list of numbers on one line."""
    write_text(path, LIST_OF_NUMBERS.sub(_on_one_line, json.dumps(content, indent=2)) + "\n")


def _on_one_line(numbers: re.Match[str]) -> str:
    return f"[{' '.join(numbers[1].split())}]"


def _temporary(path: Path) -> Path:
    """The temporary name for `path` in this process; what killed processes of this machine left of it is removed."""
    machine = machine_digest()
    beginning = f".{path.name}.{machine}-"
    for left in path.parent.glob(f"{escape(beginning)}*.tmp") if machine else ():
        if not identity(left.name.removeprefix(beginning).removesuffix(".tmp")):
            with suppress(OSError):
                left.unlink() if left.is_symlink() or not left.is_dir() else shutil.rmtree(left)
    return path.with_name(f"{beginning}{os.getpid()}.tmp")


def _sync(path: Path) -> None:
    """Return when a file, or the names in a directory, are on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):  # this file system cannot do it
            raise
    finally:
        os.close(descriptor)


def nan_to_none(value: Any) -> Any:
    """JSON has no NaN: a metric that is not defined becomes None, the ends of its interval too."""
    if isinstance(value, dict):
        return {name: nan_to_none(one) for name, one in value.items()}
    if isinstance(value, list):
        return [nan_to_none(one) for one in value]
    return None if isinstance(value, float) and math.isnan(value) else value
