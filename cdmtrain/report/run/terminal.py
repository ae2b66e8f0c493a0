"""The table at the end of a training, in 80 columns, with or without colour."""

from collections.abc import Callable
from itertools import zip_longest
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cdmtrain.particles import NAMES
from cdmtrain.report.kit import style
from cdmtrain.report.kit.numbers import count, percent
from cdmtrain.report.run.metrics import COST, OVERALL, PER_CLASS, num_true_events, of_class

# Of a confusion cell, by tenths of its row; the first is not drawn
SHADES = ["#ffffff", "#d7e6f2", "#bcd7ea", "#9fc5e1", "#86b5d9", "#5f9fcd", "#2f7fb8", "#2470a8", "#155a8c", "#08426b"]


def show_results(results: dict[str, Any], page: Path) -> None:
    """Print the results of a run and the path of its page."""
    console = Console()
    console.print(results_table(results))
    console.print(f"page: {page}", soft_wrap=True)


def results_table(results: dict[str, Any]) -> Table:
    """Return the test figures of results.json beside the validation's, and the confusion matrix."""
    table = Table.grid(padding=(0, 0, 1, 0))
    table.add_row(_overall(results))
    table.add_row(_per_class(results))
    if results.get("confusion_matrix"):
        table.add_row(_confusion(results["confusion_matrix"]))
    return table


def _new_table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("")
    for column in columns:
        table.add_column(column, justify="right")
    return table


def _overall(results: dict[str, Any]) -> Table:
    """Return quality on the left, cost on the right."""
    table = _new_table("Test figures", "test", "(val)", "", "")
    table.columns[3].justify = "left"
    for quality, cost in zip_longest(OVERALL, COST):
        cells = ["", "", ""]
        if quality is not None:
            cells = [quality.title, *_pair(quality.write, results.get(quality.key), results.get(f"val_{quality.key}"))]
        table.add_row(*cells, f"   {cost.title}", cost.write(results.get(cost.key)))
    return table


def _pair(write: Callable[[Any], str], test: Any, validation: Any) -> tuple[str, str]:
    return f"[bold]{write(test)}[/bold]", write(validation)


def _per_class(results: dict[str, Any]) -> Table:
    columns = [title for quantity in PER_CLASS for title in (quantity.title, "(val)")]
    table = _new_table("By particle", "events", *columns)
    events = num_true_events(results)
    for name in NAMES:
        cells: list[str] = []
        for quantity in PER_CLASS:
            test, validation = (of_class(results, prefix + quantity.key, name) for prefix in ("", "val_"))
            cells += _pair(quantity.write, test, validation)
        table.add_row(Text(name, style=f"bold {style.COLOURS[name]}"), count(events[name]), *cells)
    return table


def _confusion(counts: list[list[int]]) -> Table:
    headers = [f"{name:>14}" for name in NAMES]
    table = _new_table("Confusion matrix: rows are the truth, columns what the network says", *headers)
    table.padding = 0
    for column in table.columns:
        column.justify = "left"  # a cell keeps the space at its right end, and its colour there
    for name, row in zip(NAMES, counts, strict=True):
        cells = [_confusion_cell(value, sum(row)) for value in row]
        table.add_row(Text(name, style=f"bold {style.COLOURS[name]}"), *cells)
    return table


def _confusion_cell(value: int, total: int) -> Text:
    """Return ` 69.3%    831 `, the darker the larger its share of the row; a small share has no colour."""
    share = value / total if total else float("nan")
    text = f" {percent(share):>6} {count(value):>6} "
    shade = int(len(SHADES) * share) if total else 0
    if not shade:
        return Text(text)
    shade = min(shade, len(SHADES) - 1)
    return Text(text, style=f"{'#ffffff' if shade > 5 else style.INK} on {SHADES[shade]}")
