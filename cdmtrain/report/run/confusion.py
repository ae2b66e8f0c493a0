"""The confusion matrix of results.json, as counts and as fractions of each row."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from cdmtrain.particles import NAMES
from cdmtrain.report.kit import style
from cdmtrain.report.kit.drawing import Drawing, Rows
from cdmtrain.report.kit.numbers import count, percent
from cdmtrain.runs.read import RunFiles

Floats = NDArray[np.float64]


def confusion_matrix(run: RunFiles) -> NDArray[np.int64] | None:
    """Return the (4, 4) counts, rows true particle, columns predicted; None where no event was counted."""
    counts = run.results.get("confusion_matrix")
    return None if counts is None or not np.any(counts) else np.asarray(counts, dtype=np.int64)


def row_fractions(counts: NDArray[np.int64]) -> Floats:
    """Return each row divided by its sum; NaN for a particle without events."""
    total = counts.sum(axis=1, keepdims=True)
    return np.divide(counts, total, out=np.full(counts.shape, np.nan), where=total > 0)


def draw_confusion(run: RunFiles) -> list[Drawing]:
    """Draw the confusion matrix as fractions of each row and as numbers of events."""
    counts = confusion_matrix(run)
    if counts is None:
        return []
    fractions = row_fractions(counts)
    caption = (
        "Each row is one true particle, each column what the network calls it, as a fraction of the particle's test "
        "events. The diagonal is the efficiency; a perfect network has 100 % there."
    )
    words = "The same as numbers of test events."
    return [
        _draw("confusion_normalised", "Confusion matrix, row-normalised", caption, fractions, fractions, percent),
        _draw("confusion_counts", "Confusion matrix, events", words, counts, counts / counts.max(), count),
    ]


def _draw(name: str, title: str, caption: str, values: NDArray, shade: Floats, write: Callable[[Any], str]) -> Drawing:
    figure = style.new_figure(4.3)
    axes = figure.add_axes((0.2, 0.03, 0.77, 0.82))
    cells = [[write(value) for value in row] for row in values.tolist()]
    draw_matrix(axes, shade, cells, NAMES, font_size=12.5)
    axes.xaxis.set_label_position("top")
    axes.set_xlabel("predicted", fontsize=style.FONT_SIZE, color=style.GREY, labelpad=6)
    axes.set_ylabel("true", fontsize=style.FONT_SIZE, color=style.GREY, labelpad=4)
    axes.set_xticks(np.arange(0.5, len(NAMES) - 1), minor=True)
    axes.set_yticks(np.arange(0.5, len(NAMES) - 1), minor=True)
    axes.grid(which="minor", color="white", linewidth=2.5)
    axes.tick_params(which="minor", length=0)
    rows = [f"{truth}: {', '.join(row)}" for truth, row in zip(NAMES, cells, strict=True)]
    alternative = f"{title}, columns {', '.join(NAMES)}. True {'; '.join(rows)}."
    table: Rows = [["truth", *NAMES], *([truth, *row] for truth, row in zip(NAMES, values.tolist(), strict=True))]
    return Drawing(name, title, caption, alternative, figure, table)


def draw_matrix(
    axes: Axes, shade: Floats, cells: Sequence[Sequence[str]], labels: Sequence[str], *, font_size: float
) -> None:
    """Draw the cells of a matrix, each the darker the nearer its `shade` is to 1, under and beside the labels."""
    axes.imshow(np.nan_to_num(shade), cmap=style.SHADES, vmin=0, vmax=1, aspect="auto")
    for (row, column), value in np.ndenumerate(shade):
        colour, weight = "white" if value > 0.66 else style.INK, "bold" if row == column else "normal"
        axes.text(
            column, row, cells[row][column], ha="center", va="center", fontsize=font_size, color=colour, weight=weight
        )
    axes.set_xticks(range(len(labels)), labels)
    axes.set_yticks(range(len(labels)), labels)
    axes.xaxis.tick_top()
    axes.tick_params(labelsize=min(font_size, style.FONT_SIZE), colors=style.INK, length=0)
    axes.spines[:].set_color(style.GRID)
