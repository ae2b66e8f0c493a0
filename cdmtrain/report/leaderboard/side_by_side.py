"""The rows of a leaderboard in one figure: losses, ROC curves, confusion matrices."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from cdmtrain.particles import ELECTRON, NAMES, PARTICLES, PHOTON
from cdmtrain.report.kit import style
from cdmtrain.report.kit.drawing import Drawing, Rows
from cdmtrain.report.kit.numbers import fraction, percent
from cdmtrain.report.leaderboard.ranking import Leaderboard, Row
from cdmtrain.report.leaderboard.row_style import legend_below, look_of, new_axes_with_legend, numbered
from cdmtrain.report.run.confusion import SHADES, row_fractions
from cdmtrain.report.run.curve_points import roc_points
from cdmtrain.report.run_files import Predictions, read_run

MOST_DRAWN = 8  # rows, the best ones; more curves in one figure are not told apart
PANELS = 2  # confusion matrices side by side


def draw_losses(board: Leaderboard) -> Drawing | None:
    """Draw the validation loss of every epoch, the mean over a row's runs."""
    curves = [(row, history) for row in board.ranked[:MOST_DRAWN] if (history := _mean_history(row)) is not None]
    if not curves:
        return None
    figure, axes = new_axes_with_legend("epoch", "validation loss", len(curves))
    rows: Rows = [["configuration", "epoch", "val_loss_mean"]]
    for place, (row, (epoch, loss)) in enumerate(curves):
        look = look_of(place)
        axes.plot(epoch, loss, color=look.colour, linestyle=look.dash, marker=look.marker, markersize=4)
        axes.lines[-1].set_label(numbered(place, row.name))
        rows += [[row.name, int(at), value] for at, value in zip(epoch, loss, strict=True)]
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    legend_below(axes)
    words = "Mean over the runs of a row. The best epoch of each run is the one that is tested."
    told = [f"{row.name} {fraction(float(np.nanmin(loss)))}" for row, (_, loss) in curves]
    return Drawing("losses", "Validation loss", words, f"Lowest validation loss: {'; '.join(told)}.", figure, rows)


def _mean_history(row: Row) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Return epochs and the mean validation loss in each, where all runs of the row have one."""
    found: dict[float, list[float]] = {}
    for run in row.finished:
        if "val_loss" in run.history and "epoch" in run.history:
            for epoch, loss in zip(run.history["epoch"], run.history["val_loss"], strict=True):
                found.setdefault(float(epoch), []).append(float(loss))
    whole = {epoch: np.mean(losses) for epoch, losses in found.items() if len(losses) == len(row.finished)}
    shown = {epoch: float(loss) for epoch, loss in sorted(whole.items()) if np.isfinite(loss)}
    return (np.array(list(shown)), np.array(list(shown.values()))) if shown else None


def draw_rocs(board: Leaderboard) -> list[Drawing]:
    """Draw, for each particle and for electron against photon, the curve of every row's typical run."""
    found = [(place, row, _predictions(row)) for place, row in enumerate(board.ranked[:MOST_DRAWN])]
    typical = [(place, row, predictions) for place, row, predictions in found if predictions is not None]
    if len(typical) < 2:
        return []
    drawings = []
    for name in [*NAMES, "electron_photon"]:
        curves = [(place, row, *_curve(predictions, name)) for place, row, predictions in typical]
        if any(len(background) for _, _, background, _ in curves):
            drawings.append(_draw_roc(name, curves))
    return drawings


def _predictions(row: Row) -> Predictions | None:
    return None if row.typical is None else read_run(row.typical.directory).predictions


def _curve(predictions: Predictions, name: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    truth, probability = predictions.class_index, predictions.probability
    if name != "electron_photon":
        index = NAMES.index(name)
        return roc_points(probability[:, index], truth == index)
    pair = (truth == ELECTRON.class_index) | (truth == PHOTON.class_index)
    electron, photon = probability[pair, ELECTRON.class_index], probability[pair, PHOTON.class_index]
    return roc_points(electron / (electron + photon).clip(min=1e-300), truth[pair] == ELECTRON.class_index)


def _draw_roc(name: str, curves: Sequence[tuple[int, Row, Any, Any]]) -> Drawing:
    pair = name == "electron_photon"
    xlabel = "fraction of photons kept" if pair else f"fraction of events that are no {name} kept"
    figure, axes = new_axes_with_legend(xlabel, f"fraction of {'electron' if pair else name}s kept", len(curves) + 1)
    rows: Rows = [["configuration", "background_fraction", "efficiency"]]
    areas = []
    for place, row, background, signal in curves:
        area = _area(row, name)
        look = look_of(place)
        axes.plot(background, signal, color=look.colour, linestyle=look.dash, linewidth=1.8)
        axes.lines[-1].set_label(f"{area}  {numbered(place, row.name)}")
        rows += [[row.name, x, y] for x, y in zip(background, signal, strict=True)]
        areas.append(f"{row.name} {area}")
    style.diagonal(axes, "0.5000  guessing")
    axes.set_xlim(-0.02, 1)
    axes.set_ylim(0, 1.02)
    legend_below(axes)
    title = "Electron against photon" if pair else f"{name.capitalize()} against the rest"
    words = "Test events of the run in the middle of each row by validation; with the area under its curve."
    return Drawing(f"roc_{name}", title, words, f"ROC areas, {title}: {'; '.join(areas)}.", figure, rows)


def _area(row: Row, name: str) -> str:
    results = row.typical.results if row.typical else {}
    value = (
        results.get("electron_photon_auc") if name == "electron_photon" else (results.get("roc_auc") or {}).get(name)
    )
    return fraction(value)


def draw_confusions(board: Leaderboard) -> Drawing | None:
    """Draw the row-normalised confusion matrix of every row, its runs' counts added."""
    found = [(place, row, _counts(row)) for place, row in enumerate(board.ranked[:MOST_DRAWN])]
    known = [(place, row, row_fractions(counts)) for place, row, counts in found if counts is not None]
    if len(known) < 2:
        return None
    lines = -(-len(known) // PANELS)
    height = 2.3 * lines
    figure = style.new_figure(height_inches=height)
    rows: Rows = [["configuration", "truth", *NAMES]]
    for number, (place, row, fractions) in enumerate(known):
        line, column = divmod(number, PANELS)
        left, bottom = 0.075 + 0.475 * column, (2.3 * (lines - 1 - line) + 0.12) / height
        axes = figure.add_axes((left, bottom, 0.435, 1.72 / height))
        _draw_panel(axes, fractions, numbered(place, row.name, longest=22), first=column == 0)
        rows += [[row.name, name, *values] for name, values in zip(NAMES, fractions.tolist(), strict=True)]
    words = (
        "Each line of a matrix is one true particle (e, μ, γ, p), each column what the network says, in percent of the "
        "true particle's test events, all runs of a row together."
    )
    told = [f"{row.name}: {', '.join(percent(value) for value in np.diag(fractions))}" for _, row, fractions in known]
    alternative = f"Confusion matrices; efficiency of {', '.join(NAMES)}: {'; '.join(told)}."
    return Drawing("confusions", "Confusion matrices", words, alternative, figure, rows)


def _draw_panel(axes: Axes, fractions: NDArray[np.float64], title: str, *, first: bool) -> None:
    symbols = [particle.latex for particle in PARTICLES]
    axes.imshow(np.nan_to_num(fractions), cmap=SHADES, vmin=0, vmax=1, aspect="auto")
    for (line, column), value in np.ndenumerate(fractions):
        colour = "white" if value > 0.66 else style.INK
        text = percent(float(value)).rstrip("%")
        axes.text(column, line, text, ha="center", va="center", fontsize=style.SMALL, color=colour)
    axes.set_xticks(range(len(NAMES)), symbols)
    axes.set_yticks(range(len(NAMES)), symbols if first else [""] * len(NAMES))
    axes.xaxis.tick_top()
    axes.tick_params(labelsize=style.SMALL, colors=style.INK, length=0, pad=2)
    axes.spines[:].set_color(style.GRID)
    axes.set_title(title, loc="left", fontsize=style.SMALL, color=style.INK, pad=6, weight="bold")


def _counts(row: Row) -> NDArray[np.int64] | None:
    found = [counts for run in row.finished if (counts := run.results.get("confusion_matrix"))]
    return np.sum(found, axis=0, dtype=np.int64) if found else None
