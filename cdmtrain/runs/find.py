"""Find run directories."""

import glob
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from cdmtrain.errors import InputError
from cdmtrain.runs import files


def find_runs(places: Sequence[str | Path]) -> list[Path]:
    """Return each run directory in `places` once: runs, directories that hold runs at any depth, or patterns with *."""
    found: dict[Path, Path] = {}
    for place in places:
        for path in [Path(name) for name in sorted(glob.glob(str(place)))] or [Path(place)]:
            if not path.is_dir():
                raise InputError(f"runs={place} is not a directory; give run directories, or one that holds them")
            found |= {run.resolve(): run for run in _runs_below(path)}
    return list(found.values())


def _runs_below(path: Path) -> Iterator[Path]:
    for folder, inner, names in os.walk(path):
        inner.sort()
        if files.CONFIG in names:
            inner.clear()
            yield Path(folder)
