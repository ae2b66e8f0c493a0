"""Loss and accuracy in every epoch, with the best epoch marked."""

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from cdmtrain.report.kit import style
from cdmtrain.report.kit.drawing import Drawing, Rows
from cdmtrain.report.kit.numbers import fraction
from cdmtrain.runs.read import RunFiles

PARTS = {  # of the events, as columns of metrics.csv begin
    "train": ("training", style.LineStyle(style.GREY, "o", (0, (4, 2)))),
    "val": ("validation", style.LineStyle(style.INK, "o", "-")),
}
CAPTIONS = {
    "loss": "Mean loss in every epoch. A validation loss that rises while the training loss falls means overfitting.",
    "accuracy": "Fraction of events whose most probable class is the true one, in every epoch.",
}


def draw_training(run: RunFiles) -> list[Drawing]:
    """Draw loss and accuracy of training and validation, where they were logged."""
    return [drawing for name in CAPTIONS if (drawing := _draw(run, name)) is not None]


def best_epoch(run: RunFiles) -> float | None:
    """Return the best epoch in results.json; of a run that has not finished, the one of lowest validation loss."""
    if run.results.get("best_epoch") is not None:
        return float(run.results["best_epoch"])
    loss, epoch = run.history.get("val_loss"), run.history.get("epoch")
    if loss is None or epoch is None or not np.isfinite(loss).any():
        return None
    return float(epoch[np.nanargmin(loss)])


def _draw(run: RunFiles, name: str) -> Drawing | None:
    columns = {part: run.history[f"{part}_{name}"] for part in PARTS if f"{part}_{name}" in run.history}
    epoch = run.history.get("epoch")
    if epoch is None or not any(np.isfinite(values).any() for values in columns.values()):
        return None
    figure, axes = style.new_plot("epoch", name)
    style.whole_numbers(axes)
    for part, values in columns.items():
        words, line, known = *PARTS[part], np.isfinite(values)
        axes.plot(epoch[known], values[known], **line.points, markersize=4, linewidth=1.8, label=words)
    note = _mark_best(axes, epoch, list(columns.values())[-1], best_epoch(run))
    style.legend(axes)
    last = ", ".join(f"{PARTS[part][0]} {fraction(float(values[-1]))}" for part, values in columns.items())
    rows: Rows = [["epoch", *(f"{part}_{name}" for part in columns)], *zip(epoch, *columns.values(), strict=True)]
    title = name.capitalize()
    return Drawing(name, title, CAPTIONS[name] + note, f"{title} in every epoch; in the last: {last}.", figure, rows)


def _mark_best(axes: Axes, epoch: NDArray[np.float64], value: NDArray[np.float64], best: float | None) -> str:
    """Mark the best epoch with a star and return the sentence about it."""
    index = np.flatnonzero((epoch == best) & np.isfinite(value))
    if not len(index):
        return ""
    x, y = epoch[index[-1]], value[index[-1]]
    label = f"best: epoch {x:g}, {y:.3f}"
    axes.plot(x, y, "*", markersize=15, color=style.BEST, markeredgecolor="white", zorder=4, label=label)
    return f" The star marks epoch {x:g}, the best by validation."
