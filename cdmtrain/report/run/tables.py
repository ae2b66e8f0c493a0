"""The tables of a run's metrics: at the end of a training, on its page and as CSV."""

from itertools import zip_longest
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table as TerminalTable
from rich.text import Text

from cdmtrain.particles import NAMES
from cdmtrain.report.kit import style
from cdmtrain.report.kit.drawing import Rows
from cdmtrain.report.kit.metrics import COST, OVERALL, PER_CLASS
from cdmtrain.report.kit.numbers import count, percent
from cdmtrain.report.kit.tables import Cell, Table

Results = dict[str, Any]

# Background of a confusion cell, by tenths of its row; the first is not drawn
SHADES = ["#ffffff", "#d7e6f2", "#bcd7ea", "#9fc5e1", "#86b5d9", "#5f9fcd", "#2f7fb8", "#2470a8", "#155a8c", "#08426b"]


def show_results(results: Results, page: Path) -> None:
    """Print the results of a run and the path of its page."""
    console = Console()
    console.print(results_table(results))
    console.print(f"page: {page}", soft_wrap=True)


def results_table(results: Results) -> TerminalTable:
    """Return test metrics beside those of validation, and the confusion matrix, in 80 columns."""
    table = TerminalTable.grid(padding=(0, 0, 1, 0))
    rows: list[list[Cell]] = []
    for metric, cost in zip_longest(OVERALL, COST):
        left: list[Cell] = ["", "", ""]
        if metric is not None:
            left = [metric.title, Text(metric.text(results), "bold"), metric.text(results, "val_")]
        rows.append([*left, f"   {cost.title}", cost.text(results)])
    table.add_row(Table(["", "test", "(val)", "", ""], rows, "Test metrics", words=(0, 3)).terminal())
    columns = [title for metric in PER_CLASS for title in (metric.title, "(val)")]
    table.add_row(Table(["", "events", *columns], _by_particle(results), "By particle").terminal())
    if results.get("confusion_matrix"):
        table.add_row(_confusion(results["confusion_matrix"]))
    return table


def _by_particle(results: Results) -> list[list[Cell]]:
    rows = []
    for name, events in num_true_events(results).items():
        row: list[Cell] = [name, count(events)]
        for metric in PER_CLASS:
            row += [Text(metric.text(results, "", name), "bold"), metric.text(results, "val_", name)]
        rows.append(row)
    return rows


def _confusion(counts: list[list[int]]) -> TerminalTable:
    rows: list[list[Cell]] = []
    for name, row in zip(NAMES, counts, strict=True):
        rows.append([name, *(_cell(value, sum(row)) for value in row)])
    title = "Confusion matrix: rows are the true particles, columns the predicted ones"
    return Table(["", *(f"{name:>14}" for name in NAMES)], rows, title, words=range(5), narrow=True).terminal()


def _cell(value: int, total: int) -> Text:
    """Return ` 69.3%    831 `, the darker the larger the fraction of its row; below a tenth without colour."""
    text = f" {percent(value / total if total else None):>6} {count(value):>6} "
    shade = min(int(len(SHADES) * value / total), len(SHADES) - 1) if total else 0
    return Text(text, f"{'#ffffff' if shade > 5 else style.INK} on {SHADES[shade]}" if shade else "")


def particle_table(results: Results, prefix: str = "") -> Table:
    """Return efficiency, purity and ROC area of each particle; of the test with the number of events."""
    events = {name: [count(number)] for name, number in num_true_events(results).items() if not prefix}
    header = ["particle", *(["events"] if events else []), *(metric.title for metric in PER_CLASS)]
    cells = {name: [metric.text(results, prefix, name) for metric in PER_CLASS] for name in NAMES}
    return Table(header, [[name, *events.get(name, []), *row] for name, row in cells.items()])


def overall_table(results: Results) -> Table:
    """Return the metrics of all events, test beside validation."""
    rows = [[metric.title, metric.text(results), metric.text(results, "val_")] for metric in OVERALL]
    return Table(["", "test", "validation"], rows)


def cost_table(results: Results) -> Table:
    """Return what the training cost."""
    return Table(["cost", ""], [[metric.title, metric.text(results)] for metric in COST])


def num_true_events(results: Results) -> dict[str, int | None]:
    """Return the test events of each particle: the row sums of the confusion matrix."""
    counts = results.get("confusion_matrix")
    return {name: sum(counts[row]) if counts else None for row, name in enumerate(NAMES)}


def overall_rows(results: Results) -> Rows:
    """Return metric, test, validation as numbers; the cost has no validation."""
    rows: Rows = [["quantity", "test", "validation"]]
    rows += [[metric.key, results.get(metric.key), results.get(f"val_{metric.key}")] for metric in OVERALL]
    return rows + [[metric.key, results.get(metric.key), None] for metric in COST]


def class_rows(results: Results) -> Rows:
    """Return efficiency, purity and ROC area of each particle as numbers, test and validation."""
    keys = [prefix + metric.key for metric in PER_CLASS for prefix in ("", "val_")]
    header: Rows = [["particle", "test_events", *keys]]
    events = num_true_events(results)
    return header + [[name, events[name], *((results.get(key) or {}).get(name) for key in keys)] for name in NAMES]
