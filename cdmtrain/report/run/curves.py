"""Loss and accuracy in every epoch; ROC curves of each particle against the others, and of pairs of particles."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from cdmtrain.particles import Pair
from cdmtrain.report.kit import style
from cdmtrain.report.kit.numbers import DASH, fraction, plural_name
from cdmtrain.report.kit.page import Drawing, Rows
from cdmtrain.runs.predictions import Predictions
from cdmtrain.runs.read import RunFiles

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

UPPER_LEFT = "A curve nearer to the upper left corner is better; the area under it is 1 at best and 0.5 for guessing."


def draw_rocs(run: RunFiles) -> list[Drawing]:
    """Draw the curves of all particles in one figure, and of each pair in another."""
    if run.predictions is None:
        return []
    curves = {name: roc_curve(run.predictions, run.class_names, name) for name in run.class_names}
    known = {name: curve for name, curve in curves.items() if len(curve[0])}
    drawings = [_draw_particles(run, known)] if known else []
    for pair in run.settings.pairs:
        background, signal = roc_curve(run.predictions, run.class_names, pair)
        drawings += [_draw_pair(run, pair, background, signal)] if len(background) else []
    return drawings


def roc_curve(predictions: Predictions, names: Sequence[str], what: str | Pair) -> tuple[Floats, Floats]:
    """Return the curve of a particle, or of a pair of particles; `names` are those of all classes.

    A particle's score is its softmax probability. For a pair it is p(signal) / (p(signal) + p(background)), for true
    events of these two alone; an event where both vanish counts as background.
    """
    truth, probability = predictions.class_index, predictions.probability
    if not isinstance(what, Pair):
        index = names.index(what)
        return roc_points(probability[:, index], truth == index)
    first, second = (names.index(name) for name in what)
    in_pair = (truth == first) | (truth == second)
    signal, background = probability[in_pair, first], probability[in_pair, second]
    return roc_points(signal / (signal + background).clip(min=1e-300), truth[in_pair] == first)


def roc_area(results: dict[str, Any], what: str | Pair) -> str:
    """Return the area under a curve of `roc_curve` as results.json has it."""
    of_class = results.get("roc_auc") or {}
    return fraction(results.get(what.key) if isinstance(what, Pair) else of_class.get(what))


def finish_roc(axes: Axes, guessing: str) -> None:
    """Draw the line of a network that guesses and set the limits."""
    style.diagonal(axes, guessing)
    axes.set(xlim=(-0.02, 1), ylim=(0, 1.02))


def _draw_particles(run: RunFiles, curves: dict[str, tuple[Floats, Floats]]) -> Drawing:
    figure, axes = style.new_plot("fraction of the other particles kept", "efficiency", height_inches=4.3)
    rows: Rows = [["particle", "background_fraction", "efficiency"]]
    areas, styles = {name: roc_area(run.results, name) for name in curves}, style.line_styles(run.class_names)
    for name, (background, signal) in curves.items():
        axes.plot(background, signal, **styles[name].line, linewidth=2.2, label=f"{name}  {areas[name]}")
        rows += [[name, x, y] for x, y in zip(background, signal, strict=True)]
    finish_roc(axes, "guessing  0.5")
    style.legend(axes, loc="lower right", title="area under the curve")
    caption = (
        "Fraction of a particle's events kept (its efficiency) against the fraction of all other events kept, as the "
        f"cut on its softmax probability is loosened. {UPPER_LEFT}"
    )
    alternative = "ROC curves; areas: " + ", ".join(f"{name} {area}" for name, area in areas.items()) + "."
    return Drawing("roc", "ROC, one particle against the rest", caption, alternative, figure, rows)


def _draw_pair(run: RunFiles, pair: Pair, background: Floats, signal: Floats) -> Drawing:
    signals, backgrounds = map(plural_name, pair)
    xlabel, ylabel = f"fraction of {backgrounds} kept", f"fraction of {signals} kept"
    figure, axes = style.new_plot(xlabel, ylabel, height_inches=4.3)
    area, colour = roc_area(run.results, pair), style.line_styles(run.class_names)[pair.signal].colour
    title = f"{pair.signal} against {pair.background}"
    axes.fill_between(background, signal, color=colour, alpha=0.10, linewidth=0)
    label = title if area == DASH else f"{title}  {area}"
    axes.plot(background, signal, color=colour, linewidth=2.2, label=label)
    finish_roc(axes, "guessing  0.5")
    style.legend(axes, loc="lower right", title="area under the curve")
    score = f"p({pair.signal}) / (p({pair.signal}) + p({pair.background}))"
    caption = f"The same for true {signals} and {backgrounds} alone, by the score {score}. {UPPER_LEFT}"
    rows: Rows = [[f"{backgrounds}_kept", f"{signals}_kept"], *zip(background, signal, strict=True)]
    alternative = f"ROC curve of {signals} against {backgrounds}; area {area}."
    name = f"{pair.signal}_{pair.background}_roc"
    return Drawing(name, title[:1].upper() + title[1:], caption, alternative, figure, rows)


def roc_points(score: Floats, is_signal: Bools) -> tuple[Floats, Floats]:
    """Return the fractions of background and of signal above a threshold that falls through `score`.

    Events of equal score pass together, so a tie is a straight line. Empty without signal or without background.

    Shapes: `score` and `is_signal` (event,); both results (point,), from (0, 0) to (1, 1).
    """
    num_signal, num_background = int(is_signal.sum()), int((~is_signal).sum())
    if not num_signal or not num_background:
        return np.empty(0), np.empty(0)
    order = np.argsort(-score, kind="stable")
    last_of_tie = np.append(np.diff(score[order]) != 0, True)
    signal = np.cumsum(is_signal[order])[last_of_tie] / num_signal
    background = np.cumsum(~is_signal[order])[last_of_tie] / num_background
    return _corners(np.concatenate([[0.0], background]), np.concatenate([[0.0], signal]))


def _corners(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Leave out the points inside a horizontal or vertical step; the curve stays the same."""
    inside = np.zeros(len(x), dtype=bool)
    inside[1:-1] = ((x[:-2] == x[1:-1]) & (x[1:-1] == x[2:])) | ((y[:-2] == y[1:-1]) & (y[1:-1] == y[2:]))
    return x[~inside], y[~inside]


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


FEWEST_EPOCHS = 2  # that the losses must be apart


def overfitting_since(run: RunFiles) -> int | None:
    """Return the epoch from which the losses part until the end of the training; None where they do not.

    They are apart in an epoch after that of the lowest validation loss where the training loss is lower than in that
    epoch, and the validation loss is higher by more than twice its scatter. The scatter of a loss v is the
    root mean square of (v[i-1] - 2 v[i] + v[i+1]) / sqrt(6), which is the standard deviation of independent noise on a
    straight line.
    """
    names = ("epoch", "train_loss", "val_loss")
    if not set(names) <= run.history.keys():
        return None
    columns = np.stack([run.history[name] for name in names])
    epoch, train, val = columns[:, np.isfinite(columns).all(axis=0)]
    if len(epoch) <= FEWEST_EPOCHS:
        return None
    scatter = np.sqrt(np.mean(np.diff(val, 2) ** 2) / 6)
    best = int(val.argmin())
    apart = (np.arange(len(epoch)) > best) & (train < train[best]) & (val > val[best] + 2 * scatter)
    num_apart = len(epoch) if apart.all() else int(apart[::-1].argmin())
    return int(epoch[-num_apart]) if num_apart >= FEWEST_EPOCHS else None


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
    if name == "loss" and (since := overfitting_since(run)):
        axes.axvspan(since - 0.5, epoch[-1] + 0.5, color=style.BEST, alpha=0.08, linewidth=0, label="overfitting")
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
