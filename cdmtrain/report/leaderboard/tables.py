"""The leaderboard as tables: for the terminal, the page, Markdown and CSV."""

from collections.abc import Sequence
from typing import NamedTuple

from rich.console import Group
from rich.text import Text

from cdmtrain.report.kit import numbers
from cdmtrain.report.kit.metrics import COST, WITHOUT_LABELS, Metric, metric_named, overall
from cdmtrain.report.kit.numbers import is_number, plural
from cdmtrain.report.kit.page import Rows
from cdmtrain.report.kit.tables import Table
from cdmtrain.report.leaderboard.ranking import Leaderboard, MeanSpread, Row, fold_of, metric_of

PLUS_MINUS = "±"
MOST_IN_TERMINAL = 3  # columns of quality that fit into 80 characters
TRAIN_EVENTS = Metric("train_events", "training events", numbers.count)
STATES = (
    "finished",
    "diverged",
    "running",
    "submitted",
    "interrupted",
    "preempted",
    "lost",
    "failed",
)  # in the order of the text
UNFINISHED_HEADER = ("configuration", "run", "state", "epoch", "validation\nloss", "why")


class Column(NamedTuple):
    """A column of the leaderboard: a metric's mean over the runs of a row, with its spread where wanted."""

    title: str
    metric: Metric
    prefix: str = ""
    with_spread: bool = True

    def text(self, row: Row) -> str:
        found = row.metric(self.prefix + self.metric.key)
        return mean_and_spread(self.metric, found) if self.with_spread else self.metric.write(found.mean)


def mean_and_spread(metric: Metric, found: MeanSpread) -> str:
    """0.7231 and 0.0042 -> `0.7231 ± 0.0042`; without a spread the mean alone."""
    mean = metric.write(found.mean)
    return mean if found.spread is None else f"{mean} {PLUS_MINUS} {metric.write(found.spread)}"


def quality_columns(board: Leaderboard) -> list[Column]:
    """Return validation and test of the metric ranked by, then the most important other test metrics."""
    rank, pairs = metric_named(board.rank), [pair.key for pair in board.pairs]
    important = ["accuracy", *pairs[:1], "cross_entropy"]
    if board.rank == "loss":
        important = [one.key for one in WITHOUT_LABELS]
    others = [key for key in important if key != board.rank][:2]
    columns = [("validation", rank, "val_"), ("test", rank, ""), *(("test", metric_named(key), "") for key in others)]
    return [Column(f"{part}\n{metric.title}", metric, prefix) for part, metric, prefix in columns]


def cost_columns() -> list[Column]:
    """Return what the rows cost, means alone."""
    shown = [TRAIN_EVENTS, *(metric for metric in COST if metric.key not in ("epochs", "best_epoch"))]
    return [Column(metric.title.replace(" ", "\n", 1), metric, with_spread=False) for metric in shown]


def board_table(board: Leaderboard, columns: Sequence[Column], title: str = "") -> Table:
    """Return rank, name, repeats and `columns` of every row with a finished run."""
    rows = [
        [str(rank), row.name, row.repeats, *(column.text(row) for column in columns)]
        for rank, row in enumerate(board.ranked, 1)
    ]
    return Table(["#", "configuration", "over", *(column.title for column in columns)], rows, title, words=(1, 2))


def unfinished_table(board: Leaderboard) -> Table:
    """Return the state, the progress and the error of every run that is not finished."""
    rows = []
    for row in board.rows:
        for run in (run for run in row.runs if run not in row.finished):
            epoch, metric = (run.status.epoch, run.status.metric) if run.status else (None, None)
            progress = [numbers.count(epoch), numbers.fraction(metric and metric.value)]
            rows.append([row.name, run.directory.name, run.state, *progress, run.error or ""])
    return Table(UNFINISHED_HEADER, rows, "Not finished", words=(0, 1, 2, 5))


def state_counts(board: Leaderboard) -> str:
    """Return `12 runs: 10 finished, 1 lost, 1 failed`."""
    states = [run.state for run in board.runs]
    parts = [f"{states.count(state)} {state}" for state in dict.fromkeys((*STATES, *sorted(states))) if state in states]
    return f"{plural(len(states), 'run')}: {', '.join(parts)}"


def leaderboard_tables(board: Leaderboard, *, plus_minus: str = PLUS_MINUS) -> Group:
    """Return the leaderboard for a terminal of 80 columns: quality, cost, and the runs that are not finished."""
    parts = []
    if board.ranked:
        same = len({row.repeats for row in board.ranked}) == 1
        title = f"Leaderboard, mean over {board.ranked[0].repeats}" if same else "Leaderboard"
        quality = board_table(board, quality_columns(board)[:MOST_IN_TERMINAL], title)
        rows = [[str(cell).replace(PLUS_MINUS, plus_minus) for cell in row] for row in quality.rows]
        parts.append(_without(quality._replace(rows=rows), *([2] if same else [])).terminal())
        parts.append(_without(board_table(board, cost_columns(), "Cost, mean over the runs"), 2).terminal())
    missing = unfinished_table(board)
    if missing.rows:
        parts.append(_without(missing, 0).terminal())
    return Group(*parts, Text("\n".join(filter(None, (board.significance, state_counts(board))))))


def _without(table: Table, *dropped: int) -> Table:
    """Return the table without some columns."""
    kept = [index for index in range(len(table.header)) if index not in dropped]
    words = [kept.index(index) for index in table.words if index in kept]
    header, *rows = ([row[index] for index in kept] for row in (table.header, *table.rows))
    return Table([str(name) for name in header], rows, table.title, words)


def markdown(board: Leaderboard) -> str:
    """Return the leaderboard as Markdown."""
    parts = ["# Leaderboard", f"{state_counts(board)}. Ranked by validation; {spread_words(board)}."]
    parts += [board.significance] if board.significance else []
    if board.ranked:
        parts.append(board_table(board, [*quality_columns(board), *cost_columns()]).markdown())
    if unfinished_table(board).rows:
        parts += ["## Not finished", unfinished_table(board).markdown()]
    return "\n\n".join(parts) + "\n"


def spread_words(board: Leaderboard) -> str:
    """Return what the number behind ± is."""
    seeds = ["seeds"] if any(row.num_seeds > 1 for row in board.rows) else []
    folds = ["folds"] if any(row.num_folds for row in board.rows) else []
    over = " and ".join(seeds + folds)
    words = f"{PLUS_MINUS} is the sample standard deviation over {over}"
    return words if over else "each row has a single run, so no spread is known"


def board_rows(board: Leaderboard) -> Rows:
    """Return every row as numbers: what differs, runs, mean and spread of every metric, directories."""
    keys, measured = board.keys, _in_csv(board)
    metrics = [f"{key}_{part}" for key in measured for part in MeanSpread._fields]
    rows: Rows = [["rank", "configuration", *keys, "runs", "finished", "seeds", "folds", *metrics, "directories"]]
    for rank, row in enumerate(board.rows, 1):
        about = [rank if row.finished else None, row.name, *map(row.differing.get, keys)]
        repeats = [len(row.runs), len(row.finished), row.num_seeds, row.num_folds]
        values = [value for key in measured for value in row.metric(key)]
        rows.append([*about, *repeats, *values, " ".join(str(run.directory) for run in row.runs)])
    return rows


def _in_csv(board: Leaderboard) -> list[str]:
    """Return the keys of results.json that the CSV files have."""
    metrics = overall([pair.key for pair in board.pairs])
    quality = [f"{part}{metric.key}" for part in ("val_", "") for metric in metrics]
    if any(run.settings.objective for run in board.runs):
        quality += ["val_loss", *(metric.key for metric in WITHOUT_LABELS)]
    return [*quality, "train_events", *(metric.key for metric in COST)]


def run_rows(board: Leaderboard) -> Rows:
    """Return every run as numbers, also those that are not finished."""
    measured = _in_csv(board)
    rows: Rows = [["rank", "configuration", "run", "state", "seed", "fold", *measured, "error"]]
    for rank, row in enumerate(board.rows, 1):
        for run in row.runs:
            values = [value if is_number(value := metric_of(run, key)) else None for key in measured]
            about = [rank if row.finished else None, row.name, str(run.directory), run.state]
            rows.append([*about, run.settings.seed, fold_of(run), *values, run.error])
    return rows
