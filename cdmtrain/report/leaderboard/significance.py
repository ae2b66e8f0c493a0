"""Which rows of a leaderboard differ significantly from the first: paired on the same test events, seeds as spread."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cdmtrain.errors import InputError
from cdmtrain.report.kit.numbers import count
from cdmtrain.runs.predictions import Predictions, read_predictions
from cdmtrain.runs.read import RunFiles

if TYPE_CHECKING:
    from cdmtrain.report.leaderboard.ranking import Row

MOST_ROWS = 20  # that are compared
SIGMAS = 2.0  # standard deviations that are called significant: by chance alone one difference in twenty is
FEW_EVENTS = 1000  # that are called a small sample: the error of an accuracy is above 1 %
LEAST_PROBABILITY = 1e-30


class Scores(NamedTuple):
    """What a row scores on each of N test events."""

    event: NDArray[np.int64]  # (N, 2) number in its file, and class
    mean: NDArray[np.float64]  # (N,) over the runs of the row
    variance: float  # of the mean over events and runs, as far as the runs differ; 0 for a single run


def significance(ranked: Sequence["Row"], rank: str) -> str:
    """Return in a sentence which rows differ significantly from the first; empty where nothing can be compared.

    Args:
        ranked: the rows with finished runs, best first.
        rank: the metric that they are ranked by.
    """
    rows = ranked[:MOST_ROWS]
    first = _scores(rows[0], rank) if len(rows) > 1 else None
    if first is None:
        return ""
    found: dict[str, list[int]] = {"undecided": [], "different": [], "elsewhere": []}
    errors = []
    for number, row in enumerate(rows[1:], 2):
        apart = difference(first, _scores(row, rank))
        if apart is None:
            found["elsewhere"].append(number)
            continue
        errors.append(apart.error)
        found["different" if apart.num_sigmas > SIGMAS else "undecided"].append(number)
    if not errors:
        return ""
    said_of = {
        "undecided": "undecided between row 1 and ",
        "different": "significantly different from row 1: ",
        "elsewhere": "tested on other events: ",
    }
    parts = [f"{said_of[kind]}{_numbers(numbers)}" for kind, numbers in found.items() if numbers]
    parts += [f"not compared: {_numbers(range(MOST_ROWS + 1, len(ranked) + 1))}"] if len(ranked) > MOST_ROWS else []
    measure = "accuracy" if rank == "accuracy" else "cross entropy"
    how = f"Compared by {measure}, event by event on the same {count(len(first.mean))} test events"
    said = f"{how}, with {SIGMAS:g} standard deviations: {'; '.join(parts)}."
    if len(first.mean) >= FEW_EVENTS:
        return said
    return f"{said} The sample is small: a difference below {SIGMAS * max(errors):.2g} may not be seen."


class Difference(NamedTuple):
    """How far two rows are apart, and the standard deviation of that."""

    mean: float
    error: float

    @property
    def num_sigmas(self) -> float:
        if self.error > 0:
            return abs(self.mean) / self.error
        return np.inf if self.mean else 0.0


def difference(first: Scores, other: Scores | None) -> Difference | None:
    """Return the difference of two rows; None where they have not the same test events.

    The variance is that of the mean difference over the events, as in McNemar's test (Psychometrika 12 (1947) 153), and
    of the means over the runs of each row.
    """
    if other is None or not np.array_equal(first.event, other.event):
        return None
    apart = other.mean - first.mean
    variance = apart.var() / max(len(apart) - 1, 1) + first.variance + other.variance
    return Difference(float(apart.mean()), float(np.sqrt(variance)))


def _scores(row: "Row", rank: str) -> Scores | None:
    found = [one for run in row.finished if (one := _predictions(run)) is not None]
    if not found:
        return None
    events = [np.stack([one.index, one.class_index], axis=1) for one in found if one.index is not None]
    if len(events) < len(found) or not all(np.array_equal(events[0], one) for one in events):
        return None
    scores = np.stack([score(one, rank) for one in found])
    means = scores.mean(1)
    variance = float(means.var(ddof=1) / len(means)) if len(means) > 1 else 0.0
    return Scores(events[0], scores.mean(0), variance)


def score(events: Predictions, rank: str) -> NDArray[np.float64]:
    """Return whether each event is classified correctly, for a board that is ranked by accuracy; else -log p(truth)."""
    if rank == "accuracy":
        return events.is_right.astype(np.float64)
    of_truth = events.probability[np.arange(len(events.class_index)), events.class_index]
    return -np.log(of_truth.clip(min=LEAST_PROBABILITY))


def _predictions(run: RunFiles) -> Predictions | None:
    """The predictions of a run; None where they cannot be read: a leaderboard shows what it can."""
    try:
        found = read_predictions(run.directory, len(run.classes))
    except InputError:
        return None
    return found if found is not None and len(found.class_index) else None


def _numbers(rows: Sequence[int]) -> str:
    """As one says them: row 2, rows 2, 5 or rows 2 to 9."""
    if len(rows) > 2 and rows[-1] - rows[0] == len(rows) - 1:
        return f"rows {rows[0]} to {rows[-1]}"
    return ("rows " if len(rows) > 1 else "row ") + ", ".join(map(str, rows))
