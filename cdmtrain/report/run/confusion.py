"""The confusion matrix of results.json, as counts and as fractions of each row."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from numpy.typing import NDArray

from cdmtrain.particles import NAMES
from cdmtrain.report.kit import style
from cdmtrain.report.kit.drawing import Drawing, Rows
from cdmtrain.report.kit.numbers import count, percent
from cdmtrain.report.run_files import RunFiles

SHADES = LinearSegmentedColormap.from_list("shades", ["#ffffff", "#d7e6f2", "#86b5d9", "#2f7fb8", "#08426b"])


def confusion_matrix(run: RunFiles) -> NDArray[np.int64] | None:
    """Return the (4, 4) counts, rows the true particle, columns the network's; None where nothing was counted."""
    counts = run.results.get("confusion_matrix")
    if counts is None or not np.any(counts):
        return None
    return np.asarray(counts, dtype=np.int64)


def row_fractions(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return each row divided by its sum; NaN for a particle without events."""
    total = counts.sum(axis=1, keepdims=True)
    return np.divide(counts, total, out=np.full(counts.shape, np.nan), where=total > 0)


def draw_confusion_counts(run: RunFiles) -> Drawing | None:
    """Draw how many events of each particle were given each name."""
    counts = confusion_matrix(run)
    if counts is None:
        return None
    cells = [[count(value) for value in row] for row in counts.tolist()]
    words = "Test events: each row is one true particle, each column what the network called it."
    name, title = "confusion_counts", "Confusion matrix, events"
    return _draw(counts / counts.max(), cells, counts.tolist(), name=name, title=title, words=words)


def draw_confusion_fractions(run: RunFiles) -> Drawing | None:
    """Draw the same, divided by the number of true events: the diagonal is the efficiency."""
    counts = confusion_matrix(run)
    if counts is None:
        return None
    fractions = row_fractions(counts)
    cells = [[percent(value) for value in row] for row in fractions.tolist()]
    words = "Each row is one true particle, divided by its number of test events: the diagonal is the efficiency."
    name, title = "confusion_normalised", "Confusion matrix, row-normalised"
    return _draw(fractions, cells, fractions.tolist(), name=name, title=title, words=words)


def _draw(
    shade: NDArray[np.float64], cells: list[list[str]], values: list[list[float]], *, name: str, title: str, words: str
) -> Drawing:
    figure = style.new_figure(height_inches=4.3)
    axes = figure.add_axes((0.2, 0.03, 0.77, 0.82))
    axes.imshow(np.nan_to_num(shade), cmap=SHADES, vmin=0, vmax=1, aspect="auto")
    _write_cells(axes, shade, cells)
    _name_rows_and_columns(axes)
    sentences = [f"{truth}: {', '.join(row)}" for truth, row in zip(NAMES, cells, strict=True)]
    alternative = f"{title}, columns {', '.join(NAMES)}. True {'; '.join(sentences)}."
    rows: Rows = [["truth", *NAMES], *([truth, *row] for truth, row in zip(NAMES, values, strict=True))]
    return Drawing(name, title, words, alternative, figure, rows)


def _write_cells(axes: Axes, shade: NDArray[np.float64], cells: list[list[str]]) -> None:
    for row, texts in enumerate(cells):
        for column, text in enumerate(texts):
            colour = "white" if shade[row, column] > 0.66 else style.INK
            weight = "bold" if row == column else "normal"
            axes.text(column, row, text, ha="center", va="center", fontsize=12.5, color=colour, fontweight=weight)


def _name_rows_and_columns(axes: Axes) -> None:
    axes.set_xticks(range(len(NAMES)), NAMES)
    axes.set_yticks(range(len(NAMES)), NAMES)
    axes.xaxis.tick_top()
    axes.xaxis.set_label_position("top")
    axes.set_xlabel("the network says", fontsize=style.FONT_SIZE, color=style.GREY, labelpad=6)
    axes.set_ylabel("truth", fontsize=style.FONT_SIZE, color=style.GREY, labelpad=4)
    axes.tick_params(labelsize=style.FONT_SIZE, colors=style.INK, length=0)
    axes.set_xticks(np.arange(0.5, len(NAMES) - 1), minor=True)
    axes.set_yticks(np.arange(0.5, len(NAMES) - 1), minor=True)
    axes.grid(which="minor", color="white", linewidth=2.5)
    axes.tick_params(which="minor", length=0)
    for spine in axes.spines.values():
        spine.set_color(style.GRID)
