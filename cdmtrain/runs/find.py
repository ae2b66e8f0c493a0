"""Find run directories, among them that of the network that comes with the package."""

import glob
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import cdmtrain
from cdmtrain.errors import InputError
from cdmtrain.runs import files

SHIPPED = Path(cdmtrain.__file__).parent / "shipped"
BEST = "best"  # its name in `run=`, `weights=` and `load_run`


def run_directory(run: object) -> Path:
    """The directory that `run=` names: that of the shipped network for `best`; a directory of that name is ./best."""
    return SHIPPED / BEST if run == BEST else Path(str(run))


def is_shipped(path: Path) -> bool:
    """Whether a run is the network that comes with the package."""
    return path.is_relative_to(SHIPPED)


def find_runs(places: Sequence[str | Path]) -> list[Path]:
    """Return each run directory in `places` once: runs, directories that hold runs at any depth, or patterns with *."""
    found: dict[Path, Path] = {}
    for place in map(str, places):
        matches = [] if place == BEST else sorted(glob.glob(place))
        for path in map(Path, matches) if matches else [run_directory(place)]:
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
