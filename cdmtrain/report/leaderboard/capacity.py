"""Losses against the number of parameters: how large a network may be before it learns its events by heart."""

import statistics

import numpy as np

from cdmtrain.report.kit import style
from cdmtrain.report.kit.numbers import fraction
from cdmtrain.report.kit.page import Drawing, Rows
from cdmtrain.report.kit.style import legend_below, log_axis, new_plot_for_rows, row_style
from cdmtrain.report.leaderboard.ranking import Leaderboard, Row

LEAST_SIZES = 3  # of one architecture, for a curve


def draw_capacity(board: Leaderboard) -> list[Drawing]:
    """Draw the training and the validation loss of the last epoch against the parameters, a curve an architecture."""
    families: dict[str, dict[float, Row]] = {}
    for row in board.ranked:
        parameters = row.metric("parameters").mean
        if parameters:
            model = str(row.runs[0].provenance.choices.get("model"))
            families.setdefault(model, {}).setdefault(parameters, row)
    curves = {model: sizes for model, sizes in families.items() if len(sizes) >= LEAST_SIZES}
    return [_draw(curves)] if curves else []


def _draw(curves: dict[str, dict[float, Row]]) -> Drawing:
    figure, axes = new_plot_for_rows("parameters", "cross entropy (nats)", len(curves))
    rows: Rows = [["model", "parameters", "train_loss", "val_loss", "test_loss", "test_spread"]]
    values = []
    for index, (model, sizes) in enumerate(curves.items()):
        found = [
            (x, last_epoch(row, "train_loss"), last_epoch(row, "val_loss"), *row.metric("cross_entropy"))
            for x, row in sorted(sizes.items())
        ]
        x, train, validation, test, _ = (list(column) for column in zip(*found, strict=True))
        line = row_style(index)
        axes.plot(x, train, color=line.colour, marker=line.marker, linestyle=style.THIN_DASHED, markerfacecolor="white")
        axes.plot(x, validation, color=line.colour, marker=line.marker, linestyle="-", label=model)
        rows += [[model, *one] for one in found]
        values.append(f"{model} {fraction(train[-1])} in training and {fraction(test[-1])} in the test at {x[-1]:,.0f}")
    log_axis(axes)
    legend_below(axes)
    caption = (
        "Last epoch. Solid: validation loss; dashed: training loss, of the weights as they changed in the epoch. Where "
        "they part, a larger network learns its training events by heart."
    )
    title = "Training and validation loss against parameters"
    return Drawing("loss_parameters", title, caption, f"{title}: {'; '.join(values)}.", figure, rows)


def last_epoch(row: Row, column: str) -> float:
    """Return the mean over the runs of a column of metrics.csv in the last epoch; NaN where no run has it."""
    histories = [run.history[column] for run in row.finished if column in run.history]
    last = [float(values[np.isfinite(values)][-1]) for values in histories if np.isfinite(values).any()]
    return statistics.fmean(last) if last else float("nan")
