"""Loss and accuracy, epoch by epoch, with the best epoch marked."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from cdmtrain.report.kit import style
from cdmtrain.report.kit.drawing import Drawing, Rows
from cdmtrain.report.kit.numbers import fraction, is_number
from cdmtrain.report.run_files import RunFiles


def draw_loss(run: RunFiles) -> Drawing | None:
    """Draw training and validation loss."""
    columns: list[str] = [name for name in ("train_loss", "val_loss") if name in run.history]
    words = "Loss of training and validation events in every epoch."
    return _draw_history(run, columns, name="loss", title="Loss", ylabel="loss", words=words)


def draw_accuracy(run: RunFiles) -> Drawing | None:
    """Draw validation accuracy, and training accuracy where it was logged."""
    columns: list[str] = [name for name in ("train_accuracy", "val_accuracy") if name in run.history]
    words = "Fraction of events whose most probable class is the true one, in every epoch."
    return _draw_history(run, columns, name="accuracy", title="Accuracy", ylabel="accuracy", words=words)


def best_epoch(run: RunFiles) -> float | None:
    """Return the epoch results.json calls the best, else the one of lowest validation loss so far."""
    best: Any = run.results.get("best_epoch")
    if is_number(best):
        return float(best)
    loss, epoch = run.history.get("val_loss"), run.history.get("epoch")
    if loss is None or epoch is None or not np.isfinite(loss).any():
        return None
    return float(epoch[np.nanargmin(loss)])


def _draw_history(
    run: RunFiles, columns: list[str], *, name: str, title: str, ylabel: str, words: str
) -> Drawing | None:
    epoch = run.history.get("epoch")
    if epoch is None or not any(np.isfinite(run.history[column]).any() for column in columns):
        return None
    figure = style.new_figure()
    axes = style.new_axes(figure, "epoch", ylabel)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    for column in columns:
        _plot(axes, epoch, run.history[column], column=column)
    best = best_epoch(run)
    marked = _mark_best(axes, epoch, run.history[columns[-1]], best)
    style.legend(axes)
    last = ", ".join(f"{_words(column)} {fraction(float(run.history[column][-1]))}" for column in columns)
    rows: Rows = [["epoch", *columns], *zip(epoch, *(run.history[column] for column in columns), strict=True)]
    note = f" The star marks epoch {best:g}, the best by validation." if marked else ""
    return Drawing(name, title, words + note, f"{title} against epoch; in the last epoch: {last}.", figure, rows)


def _plot(axes: Axes, epoch: NDArray[np.float64], value: NDArray[np.float64], *, column: str) -> None:
    shown = np.isfinite(value)
    colour, dash = (style.GREY, (0, (4, 2))) if column.startswith("train") else (style.INK, "-")
    line = axes.plot(epoch[shown], value[shown], color=colour, linestyle=dash, marker="o", markersize=4, linewidth=1.8)
    line[0].set_label(_words(column))


def _mark_best(axes: Axes, epoch: NDArray[np.float64], value: NDArray[np.float64], best: float | None) -> bool:
    place = np.flatnonzero((epoch == best) & np.isfinite(value))
    if not len(place):
        return False
    at, height = epoch[place[-1]], value[place[-1]]
    star = axes.plot(at, height, marker="*", markersize=15, color=style.BEST, markeredgecolor="white", linestyle="")
    star[0].set_label(f"best: epoch {at:g}, {height:.3f}")
    star[0].set_zorder(4)
    return True


def _words(column: str) -> str:
    return "training" if column.startswith("train") else "validation"
