"""Runs gathered into configurations: one row each, over seeds and folds, ranked by validation."""

import glob
import os
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from cdmtrain.errors import InputError
from cdmtrain.report.kit.numbers import is_number
from cdmtrain.report.leaderboard.differences import configuration, differences, num_folds, short_name
from cdmtrain.report.run.summary import title
from cdmtrain.report.run_files import RunFiles, read_run

LOST_AFTER_SECONDS = 120  # without a heartbeat, which comes every 30
LOWER_IS_BETTER = ("cross_entropy", "calibration_error")
RANKS = ("cross_entropy", "accuracy", "macro_f1", "electron_photon_auc", "calibration_error")


class Figure(NamedTuple):
    """A figure over the runs of a row."""

    mean: float | None  # None where no run has it
    spread: float | None  # sample standard deviation; None for fewer than two runs


@dataclass(frozen=True)
class Row:
    """The runs of one configuration; they differ in seed or fold only."""

    name: str
    differing: dict[str, str]  # what tells it from the other rows: group or key -> option or value
    runs: tuple[RunFiles, ...]

    @cached_property
    def finished(self) -> tuple[RunFiles, ...]:
        return tuple(run for run in self.runs if state_of(run) == "finished" and run.results)

    @property
    def repeats(self) -> str:
        """Over what the mean is: `3 seeds`, `5 folds`, `3 seeds, 5 folds`; of how many, where some are missing."""
        seeds, folds = self._distinct("seed"), self._distinct("fold")
        parts = [_plural(len(seeds), "seed")] if len(seeds) != 1 or not self.num_folds else []
        if self.num_folds:
            some = "" if len(folds) in (0, self.num_folds) else f" of {self.num_folds}"
            parts.append(f"{len(folds)}{some} folds")
        absent = len(self.runs) - len(self.finished)
        return ", ".join(parts) + (f" ({len(self.finished)} of {len(self.runs)} runs)" if absent else "")

    @property
    def num_folds(self) -> int | None:
        return num_folds(self.runs[0])

    def figure(self, key: str) -> Figure:
        """Return mean and spread of a figure of results.json, or of the events trained on: `train_events`."""
        found = [value for run in self.finished if is_number(value := figure_of(run, key))]
        return Figure(statistics.fmean(found) if found else None, statistics.stdev(found) if len(found) > 1 else None)

    @property
    def typical(self) -> RunFiles | None:
        """The finished run in the middle by validation: the one to draw where one stands for all."""
        order = sorted(self.finished, key=lambda run: run.results.get("val_cross_entropy") or float("inf"))
        return order[(len(order) - 1) // 2] if order else None

    def _distinct(self, name: str) -> set[Any]:
        return {fold_of(run) if name == "fold" else run.config.get("seed") for run in self.finished}


@dataclass(frozen=True)
class Leaderboard:
    """The rows, best validation first, then those without a finished run."""

    rows: tuple[Row, ...]
    rank: str  # the figure of validation they are ranked by

    @property
    def runs(self) -> list[RunFiles]:
        return [run for row in self.rows for run in row.runs]

    @property
    def ranked(self) -> list[Row]:
        return [row for row in self.rows if row.finished]

    @property
    def keys(self) -> list[str]:
        """The groups and keys that some row differs in."""
        return list(dict.fromkeys(key for row in self.rows for key in row.differing))


def make_leaderboard(places: Sequence[str | Path], *, rank: str = "cross_entropy") -> Leaderboard:
    """Read the runs in `places` (runs, directories that hold runs at any depth, or patterns with *) and rank them."""
    if rank not in RANKS:
        raise InputError(f"rank={rank}: one of {', '.join(RANKS)} is expected")
    runs = [_read(path) for path in find_runs(places)]
    if not runs:
        raise InputError(
            f"runs={','.join(map(str, places))}: there is no run in it; give run directories, or one that holds them"
        )
    grouped: dict[Any, list[RunFiles]] = {}
    for run in runs:
        values = configuration(run).values
        grouped.setdefault(tuple(sorted(values.items())) or run.directory, []).append(run)
    return Leaderboard(tuple(_ranked(_rows(list(grouped.values())), rank)), rank)


def find_runs(places: Sequence[str | Path]) -> list[Path]:
    """Return every run directory in `places`, in the order of their paths, each once."""
    found: dict[Path, Path] = {}
    for place in places:
        paths = [Path(name) for name in sorted(glob.glob(str(place)))] or [Path(place)]
        for path in paths:
            if not path.is_dir():
                raise InputError(f"runs={place} is no directory; give run directories, or one that holds them")
            found |= {run.resolve(): run for run in _runs_below(path)}
    return list(found.values())


def _runs_below(path: Path) -> Iterator[Path]:
    for folder, inner, files in os.walk(path):
        inner.sort()
        if "config.yaml" in files:
            inner.clear()
            yield Path(folder)


def _read(path: Path) -> RunFiles:
    """Return the run, or one that says why it cannot be read."""
    try:
        return read_run(path, with_predictions=False)
    except (InputError, OSError) as error:
        return RunFiles(path, {}, {}, {"state": "unreadable", "error": str(error)}, {}, {}, None, ())


def _rows(grouped: Sequence[list[RunFiles]]) -> list[Row]:
    apart = differences([configuration(runs[0]) for runs in grouped])
    keys = list(dict.fromkeys(key for one in apart for key in one))
    rows = []
    for runs, differing in zip(grouped, apart, strict=True):
        ordered = sorted(runs, key=lambda run: (_order(run.config.get("seed")), _order(fold_of(run)), run.directory))
        alone = title(runs[0]) if runs[0].config else runs[0].directory.name
        rows.append(Row(short_name(differing, keys) or alone, differing, tuple(ordered)))
    return rows


def _ranked(rows: list[Row], rank: str) -> list[Row]:
    sign = 1 if rank in LOWER_IS_BETTER else -1

    def place(row: Row) -> tuple[bool, bool, float, str]:
        mean = row.figure(f"val_{rank}").mean
        return (not row.finished, mean is None, 0.0 if mean is None else sign * mean, row.name)

    return sorted(rows, key=place)


def figure_of(run: RunFiles, key: str) -> Any:
    """Return a figure of results.json; `train_events` is how many events the run was trained on."""
    return (run.provenance.get("data") or {}).get("train") if key == "train_events" else run.results.get(key)


def fold_of(run: RunFiles) -> Any:
    """Return which fold the run was validated on; None without cross-validation."""
    return run.config["data"]["split"].get("fold") if num_folds(run) else None


def state_of(run: RunFiles, now: datetime | None = None) -> str:
    """Return the state of status.json; `lost` where it says running and nothing was heard of the run for long."""
    state = str(run.status.get("state") or "unknown")
    if state != "running":
        return state
    try:
        silent = (now or datetime.now(UTC)) - datetime.fromisoformat(str(run.status.get("updated")))
    except (ValueError, TypeError):
        return "lost"
    return "lost" if silent.total_seconds() > LOST_AFTER_SECONDS else "running"


def _plural(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def _order(value: Any) -> tuple[bool, float, str]:
    return (not is_number(value), value if is_number(value) else 0.0, str(value))
