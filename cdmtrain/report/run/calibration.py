"""The reliability diagram: are 80 % of the events that the network is 80 % sure of classified correctly?"""

import numpy as np

from cdmtrain.report.kit import style
from cdmtrain.report.kit.drawing import Drawing, Rows
from cdmtrain.report.kit.numbers import fraction, plural
from cdmtrain.report.run.curve_points import binomial_interval, reliability
from cdmtrain.runs.read import RunFiles


def draw_calibration(run: RunFiles) -> list[Drawing]:
    """Draw the accuracy and the number of events against the highest softmax probability."""
    if run.predictions is None or not len(run.predictions.class_index):
        return []
    confidence = run.predictions.probability.max(axis=1)
    mean, right, total = reliability(confidence, run.predictions.is_right)
    low, high = binomial_interval(right, total)
    accuracy, error = right / total, fraction(run.results.get("calibration_error"))
    figure, axes = style.new_plot("", "accuracy", height_inches=4.3, bottom=1.6)
    style.diagonal(axes, "perfect calibration")
    bars = np.stack([accuracy - low, high - accuracy])
    axes.errorbar(mean, accuracy, yerr=bars, **style.OTHER.points, markersize=5, label=f"network, error {error}")
    axes.set(xlim=(0, 1.01), ylim=(0, 1.03))
    axes.tick_params(labelbottom=False)
    style.legend(axes, loc="upper left")
    below = style.new_axes(figure, "highest softmax probability", "events", top=2.9)
    below.hist(confidence, bins=np.linspace(0, 1, 31).tolist(), color=style.INK, alpha=0.75)
    below.set_xlim(axes.get_xlim())
    caption = (
        "Accuracy of events in bins of the network's own confidence, and how many events each confidence has. Below "
        "the diagonal the network is overconfident, above it underconfident. Bars: 68.3 % Wilson intervals."
    )
    alternative = f"Reliability diagram of {plural(len(confidence), 'event')}; expected calibration error {error}."
    rows: Rows = [["mean_confidence", "fraction_right", "low", "high", "events"]]
    rows += list(zip(mean, accuracy, low, high, total.astype(int), strict=True))
    return [Drawing("calibration", "Calibration", caption, alternative, figure, rows)]
