"""What a calibration does to test events: metrics and confidence before and after, and prediction sets."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from rich.console import Console

from cdmtrain.intervals import wilson_interval
from cdmtrain.report.kit import markup, style
from cdmtrain.report.kit.metrics import BY_KEY, Metric
from cdmtrain.report.kit.numbers import fraction, plural, two_digits
from cdmtrain.report.kit.page import Drawing, Rows
from cdmtrain.report.kit.tables import Table
from cdmtrain.runs.calibration import Calibration, Reliability
from cdmtrain.runs.records import Results
from cdmtrain.terminal import say

ALL = "all events"
CHANGED = (  # by a calibration
    *(BY_KEY[key] for key in ("accuracy", "cross_entropy", "brier_score", "calibration_error")),
    Metric("calibration_error_equal_bins", "with equal bins", fraction),
)


def calibration_words(calibration: Calibration) -> str:
    """Return the fitted numbers in words."""
    temperatures = 1 / np.array(calibration.scale)
    if len(set(calibration.scale)) == 1 and not any(calibration.bias):
        return f"temperature {temperatures[0]:.3f}"
    pairs = zip(calibration.classes, temperatures, calibration.bias, strict=True)
    return "temperature and bias " + ", ".join(f"{name} {one:.3f} {bias:+.3f}" for name, one, bias in pairs)


def show_calibration(calibration: Calibration, page: Path) -> None:
    """Print the tables of a calibration and the path of the page that has them."""
    console = Console()
    console.print(before_and_after(calibration).terminal())
    console.print(set_table(calibration.tested.after, calibration.classes).terminal())
    say(f"page: {page}")


def before_and_after(calibration: Calibration) -> Table:
    """Return the metrics of test events before and after."""
    tested = calibration.tested
    rows = [[one.title, one.with_error(tested.before), one.with_error(tested.after)] for one in CHANGED]
    return Table(["", "before", "after"], rows, "Test events, before and after the calibration")


def set_table(results: Results, classes: Iterable[str]) -> Table:
    """Return how often the sets of each level hold the true class, and how many classes they have."""
    levels = [name.removeprefix("coverage_") for name in results if name.startswith("coverage_")]
    header, rows = [""], [[ALL], *([name] for name in classes)]
    for level in levels:
        header += [f"set_{level}", "size"]
        for row in rows:
            name, prefix = (None, "") if row[0] == ALL else (row[0], "class_")
            row.append(Metric(f"{prefix}coverage_{level}", "", fraction).with_error(results, "", name))
            row.append(Metric(f"{prefix}set_size_{level}", "", two_digits).text(results, "", name))
    return Table(header, rows, "Prediction sets: how often they hold the true class, and how many classes they have")


def calibration_section(calibrations: list[Calibration]) -> tuple[str, list[Drawing]]:
    """Return the tables of the calibrations of a run as HTML, and their figures."""
    html, drawings = "", []
    for number, one in enumerate(calibrations, 1):
        words = f"The {what_is_calibrated(one)}, calibrated on {plural(sum(one.events), 'validation event')}: "
        html += markup.element("p", f"{words}{calibration_words(one)}. {_promise(one)}")
        html += titled(before_and_after(one)) + titled(set_table(one.tested.after, one.classes))
        drawings.append(draw_reliability(one, number))
    return html, drawings


def titled(table: Table) -> str:
    """Return a table for a page, with its title."""
    return markup.element("h3", table.title) + table.html()


def what_is_calibrated(calibration: Calibration) -> str:
    """Return `probability of the network`, or what mean of several."""
    several = len(calibration.networks)
    mean = [plural(several, "network")] * (several > 1) + ["eight symmetries"] * calibration.symmetries
    return f"mean probability over {' and '.join(mean)}" if mean else "probability of the network"


def _promise(calibration: Calibration) -> str:
    whom = "of the events of each class" if calibration.per_class else "of all events"
    return (
        f"The sets are made to hold the true class for 90, 95 and 99 % {whom}, if they are like the validation events."
    )


def draw_reliability(calibration: Calibration, number: int) -> Drawing:
    """Draw the accuracy against the highest probability, before and after."""
    figure, axes = style.new_plot("highest probability", "accuracy", height_inches=4.3)
    style.diagonal(axes, "perfect calibration")
    rows: Rows = [["calibration", "mean_confidence", "fraction_right", "low", "high", "events"]]
    tested, errors = calibration.tested, []
    parts = {"before": (tested.before, tested.reliability_before), "after": (tested.after, tested.reliability_after)}
    for (name, (results, bins)), line in zip(parts.items(), (style.BEFORE, style.AFTER), strict=True):
        error = fraction(results.get("calibration_error"))
        confidence, accuracy, low, high = _points(bins)
        bars = np.stack([accuracy - low, high - accuracy])
        axes.errorbar(confidence, accuracy, yerr=bars, **line.points, markersize=5, label=f"{name}, error {error}")
        rows += [[name, *point] for point in zip(confidence, accuracy, low, high, bins.events, strict=True)]
        errors.append(f"{name} {error}")
    axes.set(xlim=(0, 1.01), ylim=(0, 1.03))
    style.legend(axes, loc="upper left")
    caption = (
        "Accuracy of test events in bins of the highest probability, before and after the calibration, which used "
        "other events. Below the diagonal a network is overconfident, above it underconfident. Bars: 68.3 % Wilson "
        "intervals."
    )
    alternative = (
        f"Reliability diagram before and after the calibration; expected calibration errors: {', '.join(errors)}."
    )
    name = "calibrated" if number == 1 else f"calibrated_{number}"
    return Drawing(name, f"The {what_is_calibrated(calibration)}", caption, alternative, figure, rows)


def _points(bins: Reliability) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    right, events = np.array(bins.right, float), np.array(bins.events, float)
    return np.array(bins.confidence), right / events, *wilson_interval(right, events)
