"""The page of a leaderboard: which architecture to choose, and leaderboard.md and leaderboard.csv beside it."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from cdmtrain.atomic import write_text
from cdmtrain.report.kit import markup
from cdmtrain.report.kit.drawing import Drawing, csv_text
from cdmtrain.report.kit.numbers import count, duration, fraction, is_number, memory, rate
from cdmtrain.report.kit.stylesheet import CSS
from cdmtrain.report.leaderboard.cost import draw_costs, draw_learning_curves
from cdmtrain.report.leaderboard.ranking import Leaderboard, Row, fold_of, state_of
from cdmtrain.report.leaderboard.side_by_side import draw_confusions, draw_losses, draw_rocs
from cdmtrain.report.leaderboard.tables import (
    UNFINISHED_HEADER,
    Column,
    board_rows,
    cells,
    cost_columns,
    counted_states,
    markdown,
    quality_columns,
    run_rows,
    spread_words,
    unfinished,
    with_spread,
)
from cdmtrain.report.run.metrics import OVERALL
from cdmtrain.report.run.page import write_drawing
from cdmtrain.report.run_files import RunFiles

QUANTITIES = {quantity.key: quantity for quantity in OVERALL}


def write_leaderboard(board: Leaderboard, folder: Path) -> Path:
    """Write leaderboard.html, .md and .csv into `folder`, figures and the table of all runs into leaderboard/."""
    inside = folder / "leaderboard"
    parts = [_head(board), _tables(board)]
    for heading, drawings in _drawings(board).items():
        pictures = [write_drawing(inside, drawing) for drawing in drawings if drawing is not None]
        if pictures:
            parts.append(markup.section(heading, f'<div class="pair">{"".join(pictures)}</div>'))
    parts += [
        _runs(board, folder),
        "<footer>Figures and the table of all runs lie in leaderboard/ as PNG and CSV.</footer>",
    ]
    write_text(inside / "runs.csv", csv_text(run_rows(board)))
    write_text(folder / "leaderboard.csv", csv_text(board_rows(board)))
    write_text(folder / "leaderboard.md", markdown(board))
    page = folder / "leaderboard.html"
    write_text(page, markup.document("leaderboard", CSS, "\n".join(part for part in parts if part)))
    return page


def _drawings(board: Leaderboard) -> dict[str, list[Drawing | None]]:
    return {
        "Accuracy against cost": [*draw_costs(board)],
        "How much more data would help": [*draw_learning_curves(board)],
        "Side by side": [draw_losses(board), draw_confusions(board), *draw_rocs(board)],
    }


def _head(board: Leaderboard) -> str:
    parts = [
        markup.element("p", "cdmtrain leaderboard", "kind"),
        markup.element("h1", _title(board)),
        markup.element("p", f"{counted_states(board)}. {spread_words(board).capitalize()}.", "soft"),
    ]
    if board.ranked:
        parts.append(markup.tiles(_headline(board.ranked[0])))
        parts.append(markup.element("p", _finding(board), "lead"))
    parts += [markup.element("p", sentence, "note") for sentence in warnings(board)]
    return f"<header>{''.join(parts)}</header>"


def _title(board: Leaderboard) -> str:
    number = len(board.rows)
    if number == 1:
        return board.rows[0].name
    return f"{number} configurations, by {' and '.join(board.keys[:3]) or 'settings'}"


def _headline(best: Row) -> list[tuple[str, str]]:
    return [
        (fraction(best.figure("accuracy").mean), f"test accuracy of the first, {best.name}"),
        (fraction(best.figure("cross_entropy").mean), "test cross entropy"),
        (fraction(best.figure("electron_photon_auc").mean), "electron-photon area"),
        (count(best.figure("parameters").mean), "parameters"),
        (rate(best.figure("events_per_second").mean), "training events/s"),
        (duration(best.figure("train_seconds").mean), "training"),
    ]


def _finding(board: Leaderboard) -> str:
    """Return which row is the best by validation, and by how much, in one or two sentences."""
    best, *others = board.ranked
    quantity = QUANTITIES[board.rank]
    first = best.figure(f"val_{board.rank}")
    sentence = (
        f"Best by validation: {best.name}, {quantity.title} {with_spread(quantity, first)}; on test events "
        f"{with_spread(quantity, best.figure(board.rank))}."
    )
    if not others:
        return sentence
    second = others[0].figure(f"val_{board.rank}")
    if not is_number(first.mean) or not is_number(second.mean):
        return sentence
    apart = abs((first.mean or 0) - (second.mean or 0))
    known = first.spread is not None and second.spread is not None
    within = " That is within the spread." if known and apart < max(first.spread or 0, second.spread or 0) else ""
    return f"{sentence} The next, {others[0].name}, is behind by {fraction(apart)}.{within}"


def warnings(board: Leaderboard) -> Iterator[str]:
    """Yield what makes the rows less comparable than they look."""
    finished = [run for row in board.ranked for run in row.finished]
    data = {_test_events(run) for run in finished}
    if len(data) > 1:
        yield f"The runs were tested on {len(data)} different sets of events: their figures are not comparable."
    machines = {(run.provenance.get("host"), run.provenance.get("accelerator")) for run in finished}
    if len(machines) > 1:
        told = ", ".join(sorted(" ".join(str(part) for part in machine if part) for machine in machines))
        yield f"The runs were made on different machines ({told}): times, rates and memory compare machines too."
    commits = {str((run.provenance.get("git") or {}).get("commit")) for run in finished}
    if len(commits) > 1:
        yield f"The runs were made by {len(commits)} different commits of the program."


def _test_events(run: RunFiles) -> str:
    """Return what stands for the test events: the sources, the test part, and how it was drawn."""
    data = run.provenance.get("data") or {}
    split = (run.config.get("data") or {}).get("split") or {}
    sources = [source.get("fingerprint") for source in data.get("sources") or []]
    return f"{sources} {data.get('test')} {split.get('_target_')} {split.get('test')} {split.get('seed')}"


def _tables(board: Leaderboard) -> str:
    parts = []
    if board.ranked:
        quality, cost = quality_columns(board), cost_columns()
        parts.append(_table(board, quality))
        words = f"Ranked by {QUANTITIES[board.rank].title} of validation events; test events are for the reader alone."
        parts.append(markup.element("p", words, "soft"))
        parts.append(markup.element("h3", "Cost, mean over the runs"))
        parts.append(_table(board, cost))
    if rows := unfinished(board):
        parts += [markup.element("h3", "Not finished"), markup.table(UNFINISHED_HEADER, rows)]
    return markup.section("Leaderboard", "".join(parts))


def _table(board: Leaderboard, columns: Sequence[Column]) -> str:
    rows = [[f"{place}  {name}", *row] for place, name, *row in cells(board, columns)]
    return markup.table(["configuration", "over", *(column.title for column in columns)], rows)


def _runs(board: Leaderboard, folder: Path) -> str:
    """Return every run with a link to its own page."""
    header = ["configuration", "run", "seed", "fold", "state", "validation", "test", "memory", "time"]
    rows = [[row.name, _link(run, folder), *_run_cells(run, board.rank)] for row in board.rows for run in row.runs]
    return markup.section("Runs", markup.folded("Every run", markup.table(header, rows)))


def _run_cells(run: RunFiles, rank: str) -> list[str]:
    fold = fold_of(run)
    results = run.results
    return [
        str(run.config.get("seed", "-")),
        "-" if fold is None else str(fold),
        state_of(run),
        fraction(results.get(f"val_{rank}")),
        fraction(results.get(rank)),
        memory(results.get("peak_memory_bytes")),
        duration(results.get("train_seconds")),
    ]


def _link(run: RunFiles, folder: Path) -> str | markup.Link:
    page = run.directory / "report" / "index.html"
    if not page.exists():
        return run.directory.name
    return markup.Link(run.directory.name, os.path.relpath(page, folder))
