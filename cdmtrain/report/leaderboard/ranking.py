"""Runs grouped into configurations, a row each over all seeds and folds, named by what differs and ranked."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from cdmtrain.errors import InputError
from cdmtrain.particles import Pair
from cdmtrain.report.kit.numbers import is_number, plural, settings
from cdmtrain.report.leaderboard.significance import significance
from cdmtrain.report.run.tables import title
from cdmtrain.runs.find import find_runs
from cdmtrain.runs.read import RunFiles, read_run_or_problem

LOWER_IS_BETTER = ("cross_entropy", "calibration_error", "loss")
RANKS = ("cross_entropy", "accuracy", "macro_f1", "calibration_error", "loss")  # and the areas of the runs' pairs


class MeanSpread(NamedTuple):
    """A metric over the runs of a row."""

    mean: float | None  # None where no run has it
    spread: float | None  # sample standard deviation; None for fewer than two runs


@dataclass(frozen=True)
class Row:
    """The runs of one configuration; they differ in seed or fold only."""

    name: str
    differing: dict[str, str]  # group or key -> option or value, where the rows differ
    runs: tuple[RunFiles, ...]

    @cached_property
    def finished(self) -> tuple[RunFiles, ...]:
        """The runs with results."""
        return tuple(run for run in self.runs if run.state == "finished" and run.results)

    @property
    def num_folds(self) -> int | None:
        """How many folds a cross-validation has; None without one."""
        return self.runs[0].settings.data.split.folds

    @property
    def num_seeds(self) -> int:
        """How many seeds the finished runs have."""
        return len({run.settings.seed for run in self.finished})

    @property
    def repeats(self) -> str:
        """What the mean is over: `3 seeds`, `4 of 5 folds`, `2 seeds, 5 folds (10 of 12 runs)`."""
        folds = len({fold_of(run) for run in self.finished})
        parts = [plural(self.num_seeds, "seed")] if self.num_seeds != 1 or not self.num_folds else []
        if self.num_folds:
            parts.append(f"{folds}{f' of {self.num_folds}' if 0 < folds < self.num_folds else ''} folds")
        absent = len(self.finished) < len(self.runs)
        return ", ".join(parts) + (f" ({len(self.finished)} of {len(self.runs)} runs)" if absent else "")

    def metric(self, key: str) -> MeanSpread:
        """Return mean and spread of a metric of results.json, or of the number of training events."""
        found = [value for run in self.finished if is_number(value := metric_of(run, key))]
        spread = statistics.stdev(found) if len(found) > 1 else None
        return MeanSpread(statistics.fmean(found) if found else None, spread)

    @property
    def typical(self) -> RunFiles | None:
        """The finished run with the median validation loss, drawn where one run represents the row."""
        order = sorted(self.finished, key=lambda run: validation_loss(run.results) or float("inf"))
        return order[(len(order) - 1) // 2] if order else None


@dataclass(frozen=True)
class Leaderboard:
    """The rows, best validation first; those without a finished run come last."""

    rows: tuple[Row, ...]
    rank: str  # the validation metric that they are ranked by
    significance: str = ""  # which rows differ significantly from the first, in a sentence

    @property
    def runs(self) -> list[RunFiles]:
        return [run for row in self.rows for run in row.runs]

    @property
    def ranked(self) -> list[Row]:
        return [row for row in self.rows if row.finished]

    @property
    def pairs(self) -> list[Pair]:
        """The pairs of particles whose ROC area is a metric of some run."""
        return list(dict.fromkeys(pair for run in self.runs for pair in run.settings.pairs))

    @property
    def class_names(self) -> list[str]:
        """The classes of all runs, each once."""
        return list(dict.fromkeys(name for run in self.runs for name in run.class_names))

    @property
    def keys(self) -> list[str]:
        """The groups and keys in which rows differ."""
        return list(dict.fromkeys(key for row in self.rows for key in row.differing))


def make_leaderboard(paths: Sequence[str | Path], *, rank: str = "cross_entropy") -> Leaderboard:
    """Read all runs in `paths` (runs, directories that hold runs at any depth, patterns with *) and rank them.

    Where all were trained without labels, they are ranked by the loss of their objective.
    """
    grouped: dict[Any, list[RunFiles]] = {}
    for run in map(read_run_or_problem, find_runs(paths)):
        grouped.setdefault(tuple(sorted(configuration(run).values.items())) or run.directory, []).append(run)
    if not grouped:
        raise InputError(f"runs={','.join(map(str, paths))}: there is no run in it; give a directory that holds runs")
    if rank == "cross_entropy" and all(run.settings.objective for runs in grouped.values() for run in runs):
        rank = "loss"
    areas = dict.fromkeys(pair.key for runs in grouped.values() for run in runs for pair in run.settings.pairs)
    if rank not in (*RANKS, *areas):
        raise InputError(f"rank={rank} is not a metric to rank by; give one of {', '.join((*RANKS, *areas))}")
    rows = sorted(_rows(list(grouped.values())), key=lambda row: _rank_key(row, rank))
    return Leaderboard(tuple(rows), rank, significance([row for row in rows if row.finished], rank))


def _rows(grouped: Sequence[list[RunFiles]]) -> Iterable[Row]:
    all_differing = differences([configuration(runs[0]) for runs in grouped])
    keys = list(dict.fromkeys(key for one in all_differing for key in one))
    for runs, differing in zip(grouped, all_differing, strict=True):
        runs.sort(key=lambda run: (run.settings.seed or 0, fold_of(run) or 0, run.directory))
        alone = title(runs[0]) if runs[0].config else runs[0].directory.name
        yield Row(short_name(differing, keys) or alone, differing, tuple(runs))


def _rank_key(row: Row, rank: str) -> tuple[bool, bool, float, str]:
    mean = row.metric(f"val_{rank}").mean
    sign = 1 if rank in LOWER_IS_BETTER else -1
    return (not row.finished, mean is None, sign * (mean or 0.0), row.name)


def validation_loss(results: Mapping[str, Any]) -> Any:
    """Return the cross entropy of the validation events, or the loss of an objective without labels."""
    return results.get("val_cross_entropy", results.get("val_loss"))


def metric_of(run: RunFiles, key: str) -> Any:
    """Return a metric of results.json; `train_events` is the number of training events."""
    if key == "train_events":
        return run.provenance.data.train if run.provenance.data else None
    return run.results.get(key)


def fold_of(run: RunFiles) -> int | None:
    """Return the fold that the run was validated on; None without cross-validation."""
    split = run.settings.data.split
    return split.fold if split.folds else None


# Settings that change neither what is trained nor how well, and those that the rows are averaged over
IGNORED = ("run", "run_dir", "print_config", "sweep", "launch", "logger", "callbacks.progress", "data.cache_dir")
REPEATED = ("seed", "data.seed")
FIRST = ("experiment", "model")  # the most interesting columns


class Configuration(NamedTuple):
    """A run's options and settings, and which of them were typed."""

    choices: Mapping[str, str]  # group -> option
    values: Mapping[str, str]  # dotted key -> value as it is typed
    typed: frozenset[str]  # groups and keys


def configuration(run: RunFiles) -> Configuration:
    """Return a run's configuration without seed, fold and settings that do not matter for the result."""
    run_dir = str(run.config.get("run_dir") or "")
    values = {key: value.replace(run_dir, "") if run_dir else value for key, value in settings(run.config)}
    ignored = (*IGNORED, *REPEATED, *(("data.split.fold",) if run.settings.data.split.folds else ()))
    made = run.provenance
    return Configuration(
        {group: option for group, option in made.choices.items() if option and group not in IGNORED},
        {key: value for key, value in values.items() if not f"{key}.".startswith(tuple(f"{one}." for one in ignored))},
        frozenset(word.lstrip("+~").partition("=")[0] for word in made.overrides),
    )


def differences(configurations: Sequence[Configuration]) -> list[dict[str, str]]:
    """Return for each configuration the groups and keys in which it differs from the others, with their values.

    A group or key that somebody typed is named wherever it differs; another only where the ones named before leave
    two configurations alike. So `model=dnn,cnn` is named, and the widths and strides that come with a model are not.
    """
    entries = [{**one.choices, **one.values} for one in configurations]
    known = dict.fromkeys(key for one in entries for key in one)
    keys = [key for key in known if len({one.get(key) for one in entries}) > 1]
    keys.sort(key=lambda key: FIRST.index(key) if key in FIRST else len(FIRST))
    typed = [key for key in keys if any(key in one.typed for one in configurations)]
    named: list[str] = []
    for key in [*typed, *(key for key in keys if key not in typed)]:
        if key in typed or not _is_implied(key, named, entries):
            named.append(key)
    return [{key: one[key] for key in named if key in one} for one in entries]


def _is_implied(key: str, named: Sequence[str], entries: Sequence[Mapping[str, str]]) -> bool:
    """Whether configurations that agree in all `named` keys agree in `key` too."""
    found: dict[tuple[str | None, ...], str | None] = {}
    return all(found.setdefault(tuple(one.get(k) for k in named), one.get(key)) == one.get(key) for one in entries)


def short_name(differing: Mapping[str, str], keys: Sequence[str]) -> str:
    """Return `cnn, lr=0.01`: options of FIRST alone, other keys by their last word where no other key has the same."""
    last = [key.rpartition(".")[2] for key in keys]
    names = {key: end if last.count(end) == 1 else key for key, end in zip(keys, last, strict=True)}
    return ", ".join(value if key in FIRST else f"{names[key]}={value}" for key, value in differing.items())
