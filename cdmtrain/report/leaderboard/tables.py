"""The leaderboard as tables: for the terminal, the page, Markdown and CSV."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from cdmtrain.report.kit import numbers
from cdmtrain.report.kit.drawing import Rows
from cdmtrain.report.kit.numbers import DASH, is_number
from cdmtrain.report.leaderboard.ranking import Figure, Leaderboard, Row, figure_of, fold_of, state_of
from cdmtrain.report.run.metrics import COST, OVERALL, Quantity
from cdmtrain.report.run_files import RunFiles

PLUS_MINUS = "±"
MOST_IN_TERMINAL = 3  # figures of quality that fit into 80 columns
TRAIN_EVENTS = Quantity("train_events", "training events", numbers.count)
RUN_COST = (TRAIN_EVENTS, *COST)
COST_SHOWN = [quantity for quantity in RUN_COST if quantity.key not in ("epochs", "best_epoch")]
STATES = (
    "finished",
    "running",
    "submitted",
    "interrupted",
    "preempted",
    "lost",
    "failed",
)  # the order they are told in


class Column(NamedTuple):
    """A column of the leaderboard: a title and what writes its cell."""

    title: str
    write: Callable[[Row], str]


def with_spread(quantity: Quantity, figure: Figure) -> str:
    """0.7231 and 0.0042 -> `0.7231 ± 0.0042`; without a spread the mean alone."""
    mean = quantity.write(figure.mean)
    return mean if figure.spread is None else f"{mean} {PLUS_MINUS} {quantity.write(figure.spread)}"


def quality_columns(board: Leaderboard) -> list[Column]:
    """Return the figure ranked by, of validation and of test, then the test figures one looks for."""
    by_key = {quantity.key: quantity for quantity in OVERALL}
    rank = by_key[board.rank]
    others = [by_key[key] for key in ("accuracy", "electron_photon_auc", "cross_entropy") if key != board.rank][:2]
    return [_column(rank, "val_"), _column(rank, ""), *(_column(quantity, "") for quantity in others)]


def _column(quantity: Quantity, prefix: str) -> Column:
    part = "validation" if prefix else "test"
    return Column(f"{part} {quantity.title}", lambda row: with_spread(quantity, row.figure(prefix + quantity.key)))


def cost_columns() -> list[Column]:
    """Return what the rows cost, means alone."""
    return [Column(quantity.title, _mean(quantity)) for quantity in COST_SHOWN]


def _mean(quantity: Quantity) -> Callable[[Row], str]:
    return lambda row: quantity.write(row.figure(quantity.key).mean)


def cells(board: Leaderboard, columns: Sequence[Column]) -> list[list[str]]:
    """Return rank, name, repeats and `columns` of every row with a finished run."""
    return [
        [str(place), row.name, row.repeats, *(column.write(row) for column in columns)]
        for place, row in enumerate(board.ranked, 1)
    ]


def unfinished(board: Leaderboard) -> list[list[str]]:
    """Return row, directory, state, epoch, validation loss and sentence of every run that is not finished."""
    return [
        [row.name, run.directory.name, state_of(run), *_last(run), str(run.status.get("error") or "")]
        for row in board.rows
        for run in row.runs
        if run not in row.finished
    ]


UNFINISHED_HEADER = ("configuration", "run", "state", "epoch", "validation loss", "why")


def _last(run: RunFiles) -> list[str]:
    epoch, metric = run.status.get("epoch"), run.status.get("metric") or {}
    return [numbers.count(epoch), numbers.fraction(metric.get("value"))]


def counted_states(board: Leaderboard) -> str:
    """Return `12 runs: 10 finished, 1 lost, 1 failed`."""
    states = [state_of(run) for run in board.runs]
    order = [*STATES, *sorted(set(states) - set(STATES))]
    parts = [f"{states.count(state)} {state}" for state in order if state in states]
    return f"{numbers.count(len(states))} {'run' if len(states) == 1 else 'runs'}: {', '.join(parts)}"


def leaderboard_tables(board: Leaderboard, *, plus_minus: str = PLUS_MINUS) -> Group:
    """Return the leaderboard for a terminal of 80 columns: quality, cost, and what is not finished."""
    parts: list[Any] = []
    if board.ranked:
        quality = quality_columns(board)[:MOST_IN_TERMINAL]
        rows = [[cell.replace(PLUS_MINUS, plus_minus) for cell in row] for row in cells(board, quality)]
        over = {row[2] for row in rows}
        title, place = (f"Leaderboard, mean over {rows[0][2]}", 3) if len(over) == 1 else ("Leaderboard", 2)
        header = ["#", "", *(["over"] if place == 2 else []), *(column.title for column in quality)]
        parts.append(_table(title, header, [[*row[:2], *row[place:]] for row in rows], left=(1, 6 - 2 * place)))
        cost = [[place, name, *row] for place, name, _, *row in cells(board, cost_columns())]
        parts.append(_table("Cost", ["#", "", *(column.title for column in cost_columns())], cost, left=(1,)))
    if missing := unfinished(board):
        parts.append(_table("Not finished", UNFINISHED_HEADER[1:], [row[1:] for row in missing], left=(0, 1, 4)))
    return Group(*parts, Text(counted_states(board)))


def _table(title: str, header: Sequence[str], rows: Sequence[Sequence[str]], *, left: Sequence[int]) -> Table:
    """Return a table whose words give way to its numbers."""
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for place, name in enumerate(header):
        words = place in left
        table.add_column(name.replace(" ", "\n", 1), justify="left" if words else "right", no_wrap=not words)
    for row in rows:
        table.add_row(*map(Text, row))
    return table


def markdown(board: Leaderboard) -> str:
    """Return the leaderboard as Markdown."""
    columns = [*quality_columns(board), *cost_columns()]
    lines = ["# Leaderboard", "", f"{counted_states(board)}. Ranked by validation; {spread_words(board)}.", ""]
    if board.ranked:
        lines += _markdown_table(["#", "configuration", "over", *(c.title for c in columns)], cells(board, columns))
    if rows := unfinished(board):
        lines += ["", "## Not finished", "", *_markdown_table(UNFINISHED_HEADER, rows)]
    return "\n".join(lines) + "\n"


def _markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    written = [[cell.replace("|", "\\|").replace("\n", " ") for cell in row] for row in [header, *rows]]
    lines = [f"| {' | '.join(row)} |" for row in written]
    return [lines[0], "|" + "---|" * len(header), *lines[1:]]


def spread_words(board: Leaderboard) -> str:
    """Return what stands behind the sign ±, in words."""
    over = " and ".join(
        name
        for name, some in (("seeds", _vary(board, "seed")), ("folds", any(row.num_folds for row in board.rows)))
        if some
    )
    return (
        f"{PLUS_MINUS} is the sample standard deviation over {over}" if over else "one run a row, so no spread is known"
    )


def _vary(board: Leaderboard, key: str) -> bool:
    return any(len({run.config.get(key) for run in row.finished}) > 1 for row in board.rows)


def board_rows(board: Leaderboard) -> Rows:
    """Return every row in numbers: what it differs in, runs, mean and spread of every figure, its directories."""
    keys = board.keys
    figures = [*(prefix + quantity.key for prefix in ("val_", "") for quantity in OVERALL), *(q.key for q in RUN_COST)]
    header = ["rank", "configuration", *keys, "runs", "finished", "seeds", "folds"]
    header += [f"{key}_{part}" for key in figures for part in ("mean", "spread")] + ["directories"]
    rows: Rows = [header]
    for place, row in enumerate(board.rows, 1):
        seeds = len({run.config.get("seed") for run in row.finished})
        told = [place if row.finished else None, row.name, *(row.differing.get(key) for key in keys)]
        counted = [len(row.runs), len(row.finished), seeds, row.num_folds]
        values = [value for key in figures for value in row.figure(key)]
        rows.append([*told, *counted, *values, " ".join(str(run.directory) for run in row.runs)])
    return rows


def run_rows(board: Leaderboard) -> Rows:
    """Return every run in numbers, those not finished too."""
    figures = [*(prefix + quantity.key for prefix in ("val_", "") for quantity in OVERALL), *(q.key for q in RUN_COST)]
    rows: Rows = [["rank", "configuration", "run", "state", "seed", "fold", *figures, "error"]]
    for place, row in enumerate(board.rows, 1):
        for run in row.runs:
            values = [value if is_number(value := figure_of(run, key)) else None for key in figures]
            told = [place if row.finished else None, row.name, str(run.directory), state_of(run)]
            rows.append([*told, run.config.get("seed"), fold_of(run), *values, run.status.get("error")])
    return rows


def seed_and_fold(run: RunFiles) -> str:
    """Return `seed 1`, with the fold where there are folds."""
    fold = fold_of(run)
    return f"seed {run.config.get('seed', DASH)}" + (f", fold {fold}" if fold is not None else "")
