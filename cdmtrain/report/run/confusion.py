"""Which particle is taken for which: the confusion matrix of results.json and the most confident mistakes."""

from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import FixedFormatter, FixedLocator
from numpy.typing import NDArray

from cdmtrain.particles import Classes, Particle
from cdmtrain.report.kit import event_display, style
from cdmtrain.report.kit.numbers import count, percent
from cdmtrain.report.kit.page import Drawing, Rows
from cdmtrain.report.kit.quick_axes import QuickAxes
from cdmtrain.runs.predictions import Mistakes
from cdmtrain.runs.read import RunFiles

Floats = NDArray[np.float64]
MOST_CLASSES = 5  # whose names and cells fit side by side in large letters
CELL = 0.84  # of the distance between two cells


def confusion_matrix(run: RunFiles) -> NDArray[np.int64] | None:
    """Return the counts (class, class), rows true particle, columns predicted; None where no event was counted."""
    counts = run.results.get("confusion_matrix")
    return None if counts is None or not np.any(counts) else np.asarray(counts, dtype=np.int64)


def row_fractions(counts: NDArray[np.int64]) -> Floats:
    """Return each row divided by its sum; NaN for a particle without events."""
    total = counts.sum(axis=1, keepdims=True)
    return np.divide(counts, total, out=np.full(counts.shape, np.nan), where=total > 0)


def draw_confusion(run: RunFiles) -> list[Drawing]:
    """Draw the confusion matrix of the test events, as fractions and as numbers, and that of every validation."""
    history = draw_history(run)
    return [*_draw_test(run), *([history] if history else [])]


def _draw_test(run: RunFiles) -> list[Drawing]:
    counts = confusion_matrix(run)
    if counts is None:
        return []
    fractions = row_fractions(counts)
    caption = (
        "Each row is one true particle, each column what the network calls it, as a fraction of the particle's test "
        "events. The diagonal is the efficiency; a perfect network has 100 % there."
    )
    words, names = "The same as numbers of test events.", run.class_names
    return [
        _draw(
            "confusion_normalised", "Confusion matrix, row-normalised", caption, names, fractions, fractions, percent
        ),
        _draw("confusion_counts", "Confusion matrix, events", words, names, counts, counts / counts.max(), count),
    ]


def _draw(
    name: str,
    title: str,
    caption: str,
    names: Sequence[str],
    values: NDArray,
    shade: Floats,
    write: Callable[[Any], str],
) -> Drawing:
    figure = style.new_figure(4.3)
    width = 0.77 if len(names) <= MOST_CLASSES else 0.7  # turned names need room
    axes = figure.add_axes((0.2, 0.03, width, 0.82), axes_class=QuickAxes)
    cells = [[write(value) for value in row] for row in values.tolist()]
    if len(names) > MOST_CLASSES:
        cells = [[cell.removesuffix("%") for cell in row] for row in cells]
    draw_matrix(axes, shade, cells, names, font_size=12.5 * min(1, (MOST_CLASSES + 0.5) / len(names)))
    axes.xaxis.set_label_position("top")
    axes.set_xlabel("predicted", fontsize=style.FONT_SIZE, color=style.GREY, labelpad=6)
    axes.set_ylabel("true", fontsize=style.FONT_SIZE, color=style.GREY, labelpad=4)
    between = np.arange(0.5, len(names) - 1)
    axes.hlines(between, *axes.get_xlim(), color="white", linewidth=2.5)
    axes.vlines(between, *axes.get_ylim(), color="white", linewidth=2.5)
    rows = [f"{truth}: {', '.join(row)}" for truth, row in zip(names, cells, strict=True)]
    alternative = f"{title}, columns {', '.join(names)}. True {'; '.join(rows)}."
    table: Rows = [["truth", *names], *([truth, *row] for truth, row in zip(names, values.tolist(), strict=True))]
    return Drawing(name, title, caption, alternative, figure, table)


def draw_history(run: RunFiles) -> Drawing | None:
    """Draw the row-normalised confusion matrix of the validation events against the epoch; None before the second."""
    epoch, counts = validation_matrices(run)
    if len(epoch) < 2:
        return None
    names, fractions = run.class_names, np.stack([row_fractions(matrix) for matrix in counts])
    caption = (
        "The fraction of each true particle (row) that the network takes for each particle (column) in every validated "
        "epoch. In the diagonal a rising line is learning; elsewhere it shows a confusion that grows."
    )
    if len(names) > MOST_CLASSES:
        caption = "The diagonal of the confusion matrix of the validation events, the efficiencies, in every epoch."
    last = ", ".join(f"{name} {percent(value)}" for name, value in zip(names, fractions[-1].diagonal(), strict=True))
    alternative = f"Confusion matrix of the validation events in every epoch; efficiencies in the last: {last}."
    rows: Rows = [["epoch", "truth", *names]]
    for number, matrix in zip(epoch.tolist(), counts.tolist(), strict=True):
        rows += [[number, truth, *row] for truth, row in zip(names, matrix, strict=True)]
    draw = _draw_cells if len(names) <= MOST_CLASSES else _draw_diagonal
    figure = draw(names, epoch, fractions)
    return Drawing("confusion_history", "Confusion matrix in every epoch", caption, alternative, figure, rows)


def validation_matrices(run: RunFiles) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the epochs with a confusion matrix of the validation events, and the matrices; empty for old runs.

    Shapes: (epoch,), (epoch, truth, predicted).
    """
    classes = run.class_names
    names = [f"val_confusion_{truth}_{name}" for truth in classes for name in classes]
    if not set(names) <= run.history.keys():
        return np.empty(0, np.int64), np.empty((0, len(classes), len(classes)), np.int64)
    counts = np.stack([run.history[name] for name in names], axis=1)
    known = np.isfinite(counts).all(axis=1)
    matrices = counts[known].reshape(-1, len(classes), len(classes))
    return run.history["epoch"][known].astype(np.int64), matrices.astype(np.int64)


def _draw_diagonal(names: Sequence[str], epoch: NDArray[np.int64], fractions: Floats) -> Figure:
    """Return the efficiency of each particle against the epoch, where there are too many cells to tell apart."""
    figure, axes = style.new_plot("epoch", "efficiency", height_inches=4.3, top=style.legend_inches(len(names)))
    for index, (name, line) in enumerate(style.line_styles(names).items()):
        axes.plot(epoch, fractions[:, index, index], **line.points, markersize=4, linewidth=1.6, label=name)
    axes.set(ylim=(-0.04, 1.04))
    style.whole_numbers(axes)
    style.legend_above(axes)
    return figure


def _draw_cells(names: Sequence[str], epoch: NDArray[np.int64], fractions: Floats) -> Figure:
    """Return the curve of each cell of the matrix, all in one pair of axes; rows are true particles."""
    figure, styles = style.new_figure(4.3), style.line_styles(names)
    axes = figure.add_axes((0.14, 0.12, 0.84, 0.82))
    style.dress(axes)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    places = np.arange(len(names))
    across = CELL * (epoch - epoch[0]) / max(1, epoch[-1] - epoch[0])
    levels = np.add.outer(places, CELL * np.array([0, 0.5, 1])).ravel()
    for column, name in enumerate(names):
        axes.hlines(levels, column, column + CELL, color=style.GRID, linewidth=0.8, zorder=0.5)
        for row, truth in enumerate(reversed(names)):  # upwards
            share = fractions[:, len(names) - 1 - row, column]
            line: dict[str, Any] = {"color": styles[truth].colour, "markersize": 2.5, "linewidth": 1.6}
            axes.plot(column + across, row + CELL * share, "o-", **line)
        beside: dict[str, Any] = {"fontsize": style.SMALL, "color": style.INK, "ha": "center"}
        axes.text(column + CELL / 2, 1.02, name, transform=axes.get_xaxis_transform(), **beside)
        middle = len(names) - 1 - column + CELL / 2
        axes.text(-0.125, middle, name, transform=axes.get_yaxis_transform(), rotation=90, va="center", **beside)
    axes.set_yticks(levels, ["0", "0.5", "1"] * len(names))
    axes.set_xticks(np.add.outer(places, [0, CELL]).ravel(), [f"{one}" for one in (epoch[0], epoch[-1])] * len(names))
    for number, label in enumerate(axes.get_xticklabels()):
        label.set_horizontalalignment("right" if number % 2 else "left")
    axes.set(xlim=(-0.03, len(names) - 1 + CELL + 0.03), ylim=(-0.04, len(names) - 1 + CELL + 0.04))
    axes.set_xlabel("epoch", fontsize=style.SMALL, color=style.GREY)
    return figure


def draw_matrix(
    axes: Axes, shade: Floats, cells: Sequence[Sequence[str]], labels: Sequence[str], *, font_size: float
) -> None:
    """Draw the cells of a matrix, each the darker the nearer its `shade` is to 1, under and beside the labels."""
    side = len(labels) - 0.5
    axes.set(xlim=(-0.5, side), ylim=(side, -0.5))
    image = np.nan_to_num(shade)[::-1]
    event_display.draw_pixels(axes, image, (-0.5, side, side, -0.5), Normalize(0, 1), style.SHADES)
    for (row, column), value in np.ndenumerate(shade):
        text = axes.text(column, row, cells[row][column], ha="center", va="center", fontsize=font_size)
        text.set(color="white" if value > 0.66 else style.INK, weight="bold" if row == column else "normal")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(FixedLocator(range(len(labels))))
        axis.set_major_formatter(FixedFormatter(labels))
    if len(labels) > MOST_CLASSES:
        axes.set_xticks(range(len(labels)), labels, rotation=45, ha="left")
    axes.xaxis.tick_top()
    axes.tick_params(labelsize=min(font_size, style.FONT_SIZE), colors=style.INK, length=0, width=0.8, pad=3.5)
    axes.spines[:].set_color(style.GRID)


NUM_COLUMNS = 3
PANEL_DOTS = 290  # about the width of a panel: three fill a phone
GAP_INCHES, TITLE_INCHES = 0.08, 0.3


def draw_mistakes(run: RunFiles) -> Drawing | None:
    """Draw the events of each particle that the network was most certain to be another particle."""
    mistakes = run.mistakes
    if mistakes is None:
        return None
    styles = style.line_styles(run.class_names)
    by_particle = [np.flatnonzero(mistakes.class_index == index) for index in range(len(run.classes))]
    chosen = [events[:NUM_COLUMNS] for events in by_particle if len(events)]
    side, norm = event_display.shared_scale(list(mistakes.images[np.concatenate(chosen)]))
    panel = side * max(1, round(PANEL_DOTS / side)) / style.DPI  # a pixel is a whole number of dots
    pitch, width = panel + TITLE_INCHES, NUM_COLUMNS * (panel + GAP_INCHES) + GAP_INCHES
    night, sentences = event_display.new_night(len(chosen) * pitch + GAP_INCHES, width), []
    for row, events in enumerate(chosen):
        for column, event in enumerate(events):
            box = (GAP_INCHES + column * (panel + GAP_INCHES), GAP_INCHES + (len(chosen) - 1 - row) * pitch, panel)
            drawn = event_display.draw_event(night, mistakes.images[event], box, side, norm)
            truth, predicted, probability = _names(run.classes, mistakes, event)
            colour = event_display.on_black(styles[truth.name].colour)
            title = f"{truth.latex} → {predicted.latex}  {100 * probability:.0f}%"
            drawn.title(title, colour)
            sentences.append(f"a {truth.name} classified as {predicted.name} with {percent(probability)}")
            if row == column == 0:
                drawn.scale_bar()
    caption = (
        "The events of each particle (a row each) that the network was most certain to be another particle. Above "
        "each: true → predicted particle and the predicted one's probability. Colour is energy, logarithmic from "
        f"{event_display.LEAST_MEV:g} (dark) to {norm.vmax:.3g} MeV (bright); each window is {side} x {side} pixels."
    )
    alternative = f"The most confident mistakes: {'; '.join(sentences)}."
    figure, rows = cast(Figure, night.figure), _rows(run.classes, mistakes)
    return Drawing("mistakes", "The most confident mistakes", caption, alternative, figure, rows)


def _names(classes: Classes, mistakes: Mistakes, event: int) -> tuple[Particle, Particle, float]:
    """Return the true particle of an event, the predicted one and its probability."""
    predicted = int(mistakes.probability[event].argmax())
    truth = classes[mistakes.class_index[event]]
    return truth, classes[predicted], float(mistakes.probability[event, predicted])


def _rows(classes: Classes, mistakes: Mistakes) -> Rows:
    rows: Rows = [["index", "truth", "called", "probability", "lit_pixels", "deposited_energy_mev"]]
    for event, image in enumerate(mistakes.images):
        truth, predicted, probability = _names(classes, mistakes, event)
        lit, energy = int((image > 0).sum()), float(image.sum(dtype=np.float64))
        rows.append([int(mistakes.index[event]), truth.name, predicted.name, probability, lit, energy])
    return rows
