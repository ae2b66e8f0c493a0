"""Files inside a run directory: no link is followed out of it, and only ordinary files of bounded size are read."""

import os
import stat
from pathlib import Path

from cdmtrain.errors import InputError

MOST_BYTES = 2**24  # of a text file; config.yaml has 4 kB, and metrics.csv half a kB for each epoch


def file_inside(run: Path, name: str, *, most_bytes: int | None = MOST_BYTES) -> Path | None:
    """Return the path of the file `name` of a run; None where there is none.

    Args:
        run: the run directory, which may itself be reached by a link.
        name: of the file, relative to it.
        most_bytes: None for no limit.

    Raises:
        InputError: where a link leads out of the directory, or the file is a pipe, a device, a directory or too large.
    """
    path = run / name
    if not os.path.lexists(path):
        return None
    _refuse_link(path, os.path.realpath(run))
    try:
        status = path.stat()
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); restore the file or remove it") from error
    if not stat.S_ISREG(status.st_mode):
        raise InputError(f"{path} is not an ordinary file; restore the file or remove it")
    if most_bytes is not None and status.st_size > most_bytes:
        raise InputError(f"{path} has {status.st_size:,} bytes; at most {most_bytes:,} are expected")
    return path


def read_text(run: Path, name: str, *, most_bytes: int = MOST_BYTES) -> str | None:
    """Read a text file of a run; None where there is none."""
    path = file_inside(run, name, most_bytes=most_bytes)
    if path is None:
        return None
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read ({error}); restore the file or remove it") from error


def refuse_links(directory: Path) -> None:
    """Refuse a directory with a link out of it at any depth: what is written or removed there would lie elsewhere.

    Raises:
        InputError: with the name of the link.
    """
    root = os.path.realpath(directory)
    for folder, inner, names in os.walk(directory):
        for name in (*inner, *names):
            _refuse_link(Path(folder, name), root, only_itself=True)


def _refuse_link(path: Path, root: str, *, only_itself: bool = False) -> None:
    if only_itself and not path.is_symlink():
        return
    if not Path(os.path.realpath(path)).is_relative_to(root):
        raise InputError(f"{path} is a link out of {root}, which is not followed; put what it leads to in its place")
