"""The page of a leaderboard, with leaderboard.md and leaderboard.csv beside it."""

from collections.abc import Iterator
from pathlib import Path

from cdmtrain.atomic import write_text
from cdmtrain.report.kit import markup
from cdmtrain.report.kit.metrics import headline, metric_named
from cdmtrain.report.kit.numbers import DASH, fraction
from cdmtrain.report.kit.output import without_garbage_collection
from cdmtrain.report.kit.page import figures, run_link, write_csv, write_page
from cdmtrain.report.leaderboard import tables
from cdmtrain.report.leaderboard.capacity import draw_capacity
from cdmtrain.report.leaderboard.cost import draw_costs, draw_learning_curves
from cdmtrain.report.leaderboard.ranking import Leaderboard, fold_of
from cdmtrain.report.leaderboard.side_by_side import draw_confusions, draw_losses, draw_rocs
from cdmtrain.runs.read import RunFiles


@without_garbage_collection()
def write_leaderboard(board: Leaderboard, folder: Path) -> Path:
    """Write leaderboard.html, .md and .csv into `folder`, the figures and a table of all runs into leaderboard/."""
    inside = folder / "leaderboard"
    write_csv(inside / "runs.csv", tables.run_rows(board))
    write_csv(folder / "leaderboard.csv", tables.board_rows(board))
    write_text(folder / "leaderboard.md", tables.markdown(board))
    number = len(board.rows)
    by = " and ".join(board.keys[:3]) or "settings"
    return write_page(
        folder / "leaderboard.html",
        kind="cdmtrain leaderboard",
        title=board.rows[0].name if number == 1 else f"{number} configurations, by {by}",
        head=_head(board),
        sections={
            "Leaderboard": _tables(board),
            "Accuracy against cost": figures(inside, draw_costs(board)),
            "How large a network may be": figures(inside, draw_capacity(board)),
            "How much more data would help": figures(inside, draw_learning_curves(board)),
            "Side by side": figures(inside, [draw_losses(board), draw_confusions(board), *draw_rocs(board)]),
            "Runs": _runs(board, folder),
        },
        footer="The figures and a table of all runs are in leaderboard/ as PNG and CSV.",
    )


def _head(board: Leaderboard) -> list[str]:
    words = f"{tables.state_counts(board)}. {tables.spread_words(board).capitalize()}. {board.significance}".rstrip()
    parts = [markup.element("p", words, "soft")]
    if board.ranked:
        best = board.ranked[0]
        names = headline(best.finished[0].results)
        first = next(iter(names))
        names[first] = f"{names[first]} of the best, {best.name}"
        parts.append(
            markup.tiles((metric_named(key).write(best.metric(key).mean), name) for key, name in names.items())
        )
        parts.append(markup.element("p", _finding(board), "lead"))
    return parts + [markup.element("p", sentence, "note") for sentence in warnings(board)]


def _finding(board: Leaderboard) -> str:
    """Return which row is best by validation, and by how much."""
    (best, *others), metric = board.ranked, metric_named(board.rank)
    first = best.metric(f"val_{board.rank}")
    validation, test = (tables.mean_and_spread(metric, one) for one in (first, best.metric(board.rank)))
    sentence = f"Best by validation: {best.name}, with a {metric.title} of {validation}; {test} on test events."
    second = others[0].metric(f"val_{board.rank}") if others else first
    if not others or first.mean is None or second.mean is None:
        return sentence
    difference = abs(first.mean - second.mean)
    within = first.spread is not None and second.spread is not None and difference < max(first.spread, second.spread)
    note = ", which is within the spread" if within else ""
    return f"{sentence} The next, {others[0].name}, is behind by {fraction(difference)}{note}."


def warnings(board: Leaderboard) -> Iterator[str]:
    """Yield the reasons why the rows are less comparable than they look."""
    finished = [run for row in board.ranked for run in row.finished]
    data = {_test_events(run) for run in finished}
    if len(data) > 1:
        yield f"The runs were tested on {len(data)} different sets of events: their metrics are not comparable."
    lists = list(dict.fromkeys(run.class_names for run in finished))
    if len(lists) > 1:
        words = "; ".join(", ".join(names) for names in lists)
        yield f"The runs tell different particles apart ({words}): their metrics are not comparable."
    machines = {f"{run.provenance.host or ''} {run.provenance.accelerator or ''}".strip() for run in finished}
    if len(machines) > 1:
        names = ", ".join(sorted(machines))
        yield f"The runs were made on different machines ({names}): times, rates and memory are not comparable."
    commits = {run.provenance.git.commit for run in finished}
    if len(commits) > 1:
        yield f"The runs were made by {len(commits)} different commits of the program."


def _test_events(run: RunFiles) -> str:
    """Return what identifies the test events: the sources, the test part, and how it was chosen."""
    data, split = run.provenance.data, (run.config.get("data") or {}).get("split") or {}
    sources = [source.fingerprint for source in data.sources] if data else []
    return f"{sources} {data and data.test} {split.get('_target_')} {split.get('test')} {split.get('seed')}"


def _tables(board: Leaderboard) -> str:
    missing, parts = tables.unfinished_table(board), []
    if board.ranked:
        words = f"Ranked by the {metric_named(board.rank).title} of validation events; test events decide nothing here."
        quality, cost = tables.quality_columns(board), tables.cost_columns()
        parts += [tables.board_table(board, quality).html(), markup.element("p", words, "soft")]
        parts += [markup.element("h3", "Cost, mean over the runs"), tables.board_table(board, cost).html()]
    if missing.rows:
        parts += [markup.element("h3", missing.title), missing.html()]
    return "".join(parts)


def _runs(board: Leaderboard, folder: Path) -> str:
    """Return all runs with links to their own pages."""
    header = ["configuration", "run", "seed", "fold", "state", "validation", "test", "memory", "time"]
    rows = [
        [row.name, run_link(run.directory, run.directory.name, folder), *_run_cells(run, board.rank)]
        for row in board.rows
        for run in row.runs
    ]
    return markup.folded("Every run", markup.table(header, rows, words=range(5)))


def _run_cells(run: RunFiles, rank: str) -> list[str]:
    repeat = [DASH if value is None else str(value) for value in (run.settings.seed, fold_of(run))]
    metrics = [metric_named(rank).text(run.results, prefix) for prefix in ("val_", "")]
    cost = [metric_named(key).text(run.results) for key in ("peak_memory_bytes", "train_seconds")]
    return [*repeat, run.state, *metrics, *cost]
