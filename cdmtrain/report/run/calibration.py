"""The reliability diagram: is an event called 80 % certain right in 80 % of the cases?"""

import numpy as np
from matplotlib.axes import Axes

from cdmtrain.report.kit import style
from cdmtrain.report.kit.drawing import Drawing, Rows
from cdmtrain.report.kit.numbers import count, fraction
from cdmtrain.report.run.curve_points import Floats, binomial_interval, reliability
from cdmtrain.report.run_files import RunFiles


def draw_calibration(run: RunFiles) -> Drawing | None:
    """Draw accuracy against the highest softmax probability, and how many events have it."""
    if run.predictions is None or not len(run.predictions.class_index):
        return None
    confidence = run.predictions.probability.max(axis=1)
    mean, right, total = reliability(confidence, run.predictions.is_right)
    low, high = binomial_interval(right, total)
    accuracy = right / total
    figure = style.new_figure(height_inches=4.3)
    axes = style.new_axes(figure, "", "fraction right", bottom=0.37)
    style.diagonal(axes, "perfect calibration")
    error = fraction(run.results.get("calibration_error"))
    _plot_points(axes, mean, accuracy, low, high, label=f"network, error {error}")
    below = style.new_axes(figure, "highest softmax probability", "events", bottom=0.13, top=0.32)
    below.hist(confidence, bins=np.linspace(0, 1, 31).tolist(), color=style.INK, alpha=0.75)
    below.set_xlim(axes.get_xlim())
    words = (
        "Events binned in the network's own certainty; above the line it is too modest, below too sure. "
        "Bars: 68.3 % Wilson intervals."
    )
    alternative = f"Reliability diagram of {count(len(confidence))} events; expected calibration error {error}."
    rows: Rows = [["mean_confidence", "fraction_right", "low", "high", "events"]]
    rows += list(zip(mean, accuracy, low, high, total.astype(int), strict=True))
    return Drawing("calibration", "Calibration", words, alternative, figure, rows)


def _plot_points(axes: Axes, mean: Floats, accuracy: Floats, low: Floats, high: Floats, *, label: str) -> None:
    spread = np.stack([accuracy - low, high - accuracy])
    axes.errorbar(mean, accuracy, yerr=spread, color=style.INK, marker="o", markersize=5, label=label)
    axes.set_xlim(0, 1.01)
    axes.set_ylim(0, 1.03)
    axes.tick_params(labelbottom=False)
    style.legend(axes, place="upper left")
