"""Change one file of a run."""

from collections.abc import Callable
from pathlib import Path

Change = Callable[[Path], object]


def replaced(run: Path, name: str, make: Change) -> None:
    (run / name).unlink(missing_ok=True)
    make(run / name)
