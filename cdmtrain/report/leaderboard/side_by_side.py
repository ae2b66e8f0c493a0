"""The rows of a leaderboard in one figure: losses, ROC curves, confusion matrices."""

from collections.abc import Sequence
from contextlib import suppress

import numpy as np

from cdmtrain.errors import InputError
from cdmtrain.particles import Pair
from cdmtrain.report.kit import style
from cdmtrain.report.kit.numbers import fraction, percent, plural_name
from cdmtrain.report.kit.page import Drawing, Rows
from cdmtrain.report.kit.style import legend_below, new_plot_for_rows, numbered, row_style
from cdmtrain.report.leaderboard.ranking import Leaderboard, Row
from cdmtrain.report.run.confusion import MOST_CLASSES, confusion_matrix, draw_matrix, row_fractions
from cdmtrain.report.run.curves import UPPER_LEFT, Floats, finish_roc, roc_area, roc_curve
from cdmtrain.runs.predictions import Predictions, read_predictions
from cdmtrain.runs.read import RunFiles

MOST_DRAWN = 8  # of the best rows; more curves in one figure cannot be told apart


def draw_losses(board: Leaderboard) -> Drawing | None:
    """Draw the validation loss in every epoch, the mean over a row's runs."""
    curves = [(row, history) for row in board.ranked[:MOST_DRAWN] if (history := _mean_history(row))]
    if not curves:
        return None
    figure, axes = new_plot_for_rows("epoch", "validation loss", len(curves))
    rows: Rows = [["configuration", "epoch", "val_loss_mean"]]
    for index, (row, history) in enumerate(curves):
        epochs, losses = list(history), list(history.values())
        axes.plot(epochs, losses, **row_style(index).points, markersize=4, label=numbered(index, row.name))
        rows += [[row.name, int(epoch), loss] for epoch, loss in history.items()]
    style.whole_numbers(axes)
    legend_below(axes)
    caption = "Mean over the runs of a row. Each run is tested with the weights of its best epoch."
    lowest = [f"{row.name} {fraction(min(history.values()))}" for row, history in curves]
    return Drawing("losses", "Validation loss", caption, f"Lowest validation loss: {'; '.join(lowest)}.", figure, rows)


def _mean_history(row: Row) -> dict[float, float]:
    """Return the mean validation loss of every epoch that all finished runs of a row have."""
    found: dict[float, list[float]] = {}
    for run in row.finished:
        if "val_loss" in run.history and "epoch" in run.history:
            for epoch, loss in zip(run.history["epoch"], run.history["val_loss"], strict=True):
                found.setdefault(float(epoch), []).append(float(loss))
    means = {epoch: float(np.mean(losses)) for epoch, losses in found.items() if len(losses) == len(row.finished)}
    return {epoch: loss for epoch, loss in sorted(means.items()) if np.isfinite(loss)}


def draw_rocs(board: Leaderboard) -> list[Drawing]:
    """Draw the ROC curve of every row's typical run, for each particle and each pair that two rows have."""
    known = [
        (index, row, row.typical, predictions)
        for index, row in enumerate(board.ranked[:MOST_DRAWN])
        if row.typical and (predictions := _predictions(row.typical)) is not None
    ]
    drawings = []
    everything: list[str | Pair] = [*board.class_names, *board.pairs]
    for what in everything:
        curves = [
            (index, row, *roc_curve(predictions, run.class_names, what))
            for index, row, run, predictions in known
            if what in (run.settings.pairs if isinstance(what, Pair) else run.class_names)
        ]
        if len(curves) > 1 and any(len(background) for _, _, background, _ in curves):
            drawings.append(_draw_roc(what, curves))
    return drawings


def _predictions(run: RunFiles) -> Predictions | None:
    """Return the predictions of a run; None where it has none, or a damaged file, which its own page names."""
    with suppress(InputError):
        return read_predictions(run.directory, len(run.classes))
    return None


def _draw_roc(what: str | Pair, curves: Sequence[tuple[int, Row, Floats, Floats]]) -> Drawing:
    particle, other = what if isinstance(what, Pair) else (what, "the rest")
    others = plural_name(other) if isinstance(what, Pair) else "all other events"
    xlabel, ylabel = f"fraction of {others} kept", f"fraction of {plural_name(particle)} kept"
    figure, axes = new_plot_for_rows(xlabel, ylabel, len(curves) + 1)
    rows: Rows = [["configuration", "background_fraction", "efficiency"]]
    areas = []
    for index, row, background, signal in curves:
        area = roc_area(row.typical.results if row.typical else {}, what)
        label = f"{area}  {numbered(index, row.name)}"
        axes.plot(background, signal, **row_style(index).line, linewidth=1.8, label=label)
        rows += [[row.name, x, y] for x, y in zip(background, signal, strict=True)]
        areas.append(f"{row.name} {area}")
    finish_roc(axes, "0.5000  guessing")
    legend_below(axes)
    title = f"{particle[:1].upper()}{particle[1:]} against {other}"
    caption = f"Test events of each row's run with the median validation loss, and the area. {UPPER_LEFT}"
    name = f"roc_{particle}_{other}" if isinstance(what, Pair) else f"roc_{particle}"
    return Drawing(name, title, caption, f"ROC areas, {title}: {'; '.join(areas)}.", figure, rows)


def draw_confusions(board: Leaderboard) -> Drawing | None:
    """Draw the row-normalised confusion matrix of every row, with the counts of its runs added."""
    matrices = []
    for index, row in enumerate(board.ranked[:MOST_DRAWN]):
        counts = [one for run in row.finished if (one := confusion_matrix(run)) is not None]
        if counts:
            matrices.append((index, row, row_fractions(np.sum(counts, axis=0))))
    if len(matrices) < 2:
        return None
    num_lines = -(-len(matrices) // 2)
    height = 2.3 * num_lines
    figure = style.new_figure(height)
    names = board.class_names
    rows: Rows = [["configuration", "truth", *names]]
    for number, (index, row, fractions) in enumerate(matrices):
        run = row.finished[0]
        line, column = divmod(number, 2)
        bottom = (2.3 * (num_lines - 1 - line) + 0.12) / height
        axes = figure.add_axes((0.075 + 0.475 * column, bottom, 0.435, 1.72 / height))
        cells = [[percent(value).rstrip("%") for value in values] for values in fractions.tolist()]
        font_size = style.SMALL * min(1, (MOST_CLASSES + 0.5) / len(cells))
        draw_matrix(axes, fractions, cells, [one.latex for one in run.classes], font_size=font_size)
        title = numbered(index, row.name, longest=22)
        axes.set_title(title, loc="left", fontsize=style.SMALL, color=style.INK, pad=6, weight="bold")
        axes.tick_params(labelleft=column == 0 or len({one.class_names for one in board.runs}) > 1)
        for truth, values in zip(run.class_names, fractions.tolist(), strict=True):
            by_name = dict(zip(run.class_names, values, strict=True))
            rows.append([row.name, truth, *(by_name.get(name) for name in names)])
    caption = (
        "Each line of a matrix is one true particle, each column the predicted one, in percent of the true particle's "
        "test events over all runs of a row; the diagonal is the efficiency."
    )
    efficiencies = [
        f"{row.name}: {', '.join(map(percent, np.diag(fractions).tolist()))}" for _, row, fractions in matrices
    ]
    alternative = f"Confusion matrices; efficiency of {', '.join(names)}: {'; '.join(efficiencies)}."
    return Drawing("confusions", "Confusion matrices", caption, alternative, figure, rows)
