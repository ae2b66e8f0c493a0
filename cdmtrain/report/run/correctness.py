"""How often events are classified correctly: by confidence, and by pixels, energies and the vertex."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cdmtrain.intervals import wilson_interval
from cdmtrain.report.kit import style
from cdmtrain.report.kit.numbers import DASH, fraction, percent, plural
from cdmtrain.report.kit.page import Drawing, Rows
from cdmtrain.report.run.curves import Bools, Floats
from cdmtrain.runs.predictions import Predictions
from cdmtrain.runs.read import RunFiles


def draw_correctness(run: RunFiles) -> list[Drawing]:
    """Draw the calibration, and the efficiency against every property of the events that is known."""
    events = run.predictions
    if events is None or not len(events.class_index):
        return []
    known = _variables(events, run.settings.data.image_size)
    error = fraction(run.results.get("calibration_error"))
    return [_draw_calibration(events, error), *(_draw(events, run.class_names, variable) for variable in known)]


def _draw_calibration(events: Predictions, error: str) -> Drawing:
    """Draw the accuracy and the number of events against the highest softmax probability."""
    confidence = events.probability.max(axis=1)
    mean, right, total = reliability(confidence, events.is_right)
    accuracy, (low, high) = right / total, wilson_interval(right, total)
    figure, axes = style.new_plot("", "accuracy", height_inches=4.3, bottom=1.6)
    style.diagonal(axes, "perfect calibration")
    bars = np.stack([accuracy - low, high - accuracy])
    axes.errorbar(mean, accuracy, yerr=bars, **style.OTHER.points, markersize=5, label=f"network, error {error}")
    axes.set(xlim=(0, 1.01), ylim=(0, 1.03))
    axes.tick_params(labelbottom=False)
    style.legend(axes, loc="upper left")
    below = style.new_axes(figure, "highest softmax probability", "events", top=2.9)
    style.area(below, *np.histogram(confidence, np.linspace(0, 1, 31)), color=style.INK, alpha=0.75)
    below.set(xlim=axes.get_xlim(), ylim=(0, None))
    caption = (
        "Accuracy of events in bins of the network's own confidence, and how many events each confidence has. Below "
        "the diagonal the network is overconfident, above it underconfident. Bars: 68.3 % Wilson intervals."
    )
    alternative = f"Reliability diagram of {plural(len(confidence), 'event')}; expected calibration error {error}."
    rows: Rows = [["mean_confidence", "fraction_right", "low", "high", "events"]]
    rows += list(zip(mean, accuracy, low, high, total.astype(int), strict=True))
    return Drawing("calibration", "Calibration", caption, alternative, figure, rows)


FEWEST_EVENTS = 25  # in a bin: an efficiency of 0.8 is then known to 0.08
ALL = "all"


class Variable(NamedTuple):
    """A property of every test event."""

    name: str  # of the files
    title: str
    xlabel: str
    value: Floats  # (event,), NaN where unknown

    def median(self, chosen: Bools) -> str:
        """The median over the chosen events, to three digits."""
        return f"{np.median(self.value[chosen]):.3g}" if chosen.any() else DASH


def _variables(events: Predictions, image_size: int | None) -> Iterator[Variable]:
    yield Variable("lit_pixels", "lit pixels", "lit pixels", events.lit_pixels.astype(np.float64))
    xlabel = "deposited energy in the image (MeV)"
    yield Variable("deposited_energy", "deposited energy", xlabel, events.deposited_energy_mev)
    if events.kinetic_energy_mev is not None:
        yield Variable("kinetic_energy", "kinetic energy", "kinetic energy (MeV)", events.kinetic_energy_mev)
    if events.vertex_px is not None and image_size is not None:
        to_edge = np.minimum(events.vertex_px, image_size - 1 - events.vertex_px).min(axis=1)
        title = "distance of the vertex to the edge"
        yield Variable("vertex_to_edge", title, "vertex to the nearest edge (pixels)", to_edge)


def _draw(events: Predictions, names: Sequence[str], variable: Variable) -> Drawing:
    margin, styles = style.legend_inches(len(names) + 1), style.line_styles(names)
    figure, axes = style.new_plot(variable.xlabel, "efficiency", height_inches=4.0, top=margin)
    rows: Rows = [["particle", "mean", "efficiency", "low", "high", "events"]]
    spans: list[str] = []
    for index, name in enumerate((*names, ALL)):
        of_name = (events.class_index == index) | (name == ALL)
        chosen = np.flatnonzero(of_name & np.isfinite(variable.value))
        points = _points(variable.value[chosen], events.is_right[chosen])
        if not len(points):
            continue
        mean, efficiency, low, high, _ = points.T
        if name == ALL:
            axes.plot(mean, efficiency, color=style.INK, linestyle=(0, (4, 2)), linewidth=1.4, label=name)
        else:
            bars = np.stack([efficiency - low, high - efficiency])
            axes.errorbar(mean, efficiency, yerr=bars, **styles[name].points, markersize=5.5, linewidth=1.4, label=name)
            spans.append(f"{name} {efficiency[0]:.2f} and {efficiency[-1]:.2f}")
        rows += [[name, *point[:4], int(point[4])] for point in points.tolist()]
    axes.set_ylim(0, 1.03)
    style.legend_above(axes)
    caption = (
        f"Fraction of each particle's test events classified correctly, against {variable.title}; dashed: of all "
        "events, the accuracy. Bins of equal population, at the mean of their events; bars: 68.3 % Wilson intervals."
    )
    title = f"Efficiency against {variable.title}"
    alternative = f"{title}; lowest and highest bin: {'; '.join(spans)}."
    return Drawing(f"efficiency_{variable.name}", title, caption, alternative, figure, rows)


def _points(value: Floats, is_right: Bools) -> Floats:
    """Return (bin, 5): mean of `value`, efficiency, the two ends of its interval, events."""
    bins = equal_population_bins(value, most_bins=8, fewest_events=FEWEST_EVENTS)
    if not bins:
        return np.empty((0, 5))
    mean, passed, total = np.array([(value[one].mean(), is_right[one].sum(), len(one)) for one in bins]).T
    return np.stack([mean, passed / total, *wilson_interval(passed, total), total], axis=1)


HEADER = ["", "median, right", "median, wrong", "wrong, lowest quarter", "wrong, highest quarter"]


def variables(events: Predictions) -> list[Variable]:
    """Return the properties against which failures are shown."""
    lit, score = events.lit_pixels.astype(np.float64), events.probability.max(axis=1)
    mean = events.deposited_energy_mev / lit.clip(min=1)
    return [
        Variable("failures_lit_pixels", "lit pixels", "lit pixels of an event", lit),
        Variable("failures_mean_pixel", "mean pixel", "mean energy of the lit pixels (MeV)", mean),
        Variable("failures_softmax_score", "softmax score", "highest softmax probability", score),
    ]


def failure_rows(events: Predictions) -> list[list[str]]:
    """Return a row for each property: its median for right and wrong events, how often its extreme quarters fail."""
    right = events.is_right
    return [
        [one.title, one.median(right), one.median(~right), *map(percent, _wrong_in_quarters(one, right))]
        for one in variables(events)
    ]


def _wrong_in_quarters(variable: Variable, right: Bools) -> list[float]:
    """Return the fraction of wrong events in the quarters with the lowest and with the highest values."""
    low, high = np.quantile(variable.value, [0.25, 0.75])
    return [float((~right[quarter]).mean()) for quarter in (variable.value <= low, variable.value >= high)]


def failure_sentence(events: Predictions) -> str:
    """Return where the network fails most often; empty where it never fails."""
    if events.is_right.all():
        return ""
    quarters = [
        (wrong, f"the {which} quarter by {one.title}")
        for one in variables(events)
        for which, wrong in zip(("lowest", "highest"), _wrong_in_quarters(one, events.is_right), strict=True)
    ]
    worst, words = max(quarters)
    all_wrong = percent(1 - events.is_right.mean())
    return f"{all_wrong} of the test events are classified wrongly, and {percent(worst)} in {words}."


def draw_failure(variable: Variable, right: Bools) -> Drawing:
    """Draw the distribution of a property for the events that are classified right and wrong."""
    low, high = float(variable.value.min()), float(np.quantile(variable.value, 0.995))
    edges = np.linspace(low, max(high, low + 1e-6), 30 + 1)
    inside = variable.value.clip(edges[0], edges[-1])
    shares = [100 * np.histogram(inside[chosen], edges)[0] / max(1, chosen.sum()) for chosen in (right, ~right)]
    figure, axes = style.new_plot(variable.xlabel, "events per bin (%)", height_inches=3.4)
    style.outline(axes, shares[0], edges, color=style.INK, linewidth=1.7, label="classified right")
    wrong = style.CHOSEN.line | {"linewidth": 1.7, "label": "classified wrong"}
    style.outline(axes, shares[1], edges, **wrong)
    style.area(axes, shares[1], edges, color=style.BEST, alpha=0.15)
    axes.set_ylim(0, None)
    style.legend(axes)
    medians = f"{variable.median(right)} (right) and {variable.median(~right)} (wrong)"
    caption = (
        "Events fail more often than average where the dashed outline is above the solid one. Each outline adds up to "
        f"100 %; medians: {medians}. The last bin holds the overflow."
    )
    rows: Rows = [["from", "to", "right_percent", "wrong_percent"]]
    rows += list(zip(edges[:-1], edges[1:], *shares, strict=True))
    alternative = f"Distribution of {variable.title} of events classified right and wrong; medians {medians}."
    return Drawing(variable.name, f"By {variable.title}", caption, alternative, figure, rows)


def equal_population_bins(value: Floats, *, most_bins: int, fewest_events: int) -> list[NDArray[np.intp]]:
    """Return the indices of the events in each bin, in rising `value`.

    There are at most `most_bins` bins, each with `fewest_events` or more, but at least one bin. Events of equal value
    share a bin, so pixel counts with many ties give fewer bins.
    """
    if not len(value):
        return []
    num_bins = max(1, min(most_bins, len(value) // fewest_events))
    edges = np.unique(np.quantile(value, np.linspace(0, 1, num_bins + 1))[1:-1])
    index = np.searchsorted(edges, value, side="left")
    return [events for number in range(len(edges) + 1) if len(events := np.flatnonzero(index == number))]


def reliability(confidence: Floats, is_right: Bools, *, num_bins: int = 15) -> tuple[Floats, Floats, Floats]:
    """Return the mean confidence, the right events and all events of each bin of equal width that is not empty.

    These are the bins of the expected calibration error: Guo et al., ICML 2017, arXiv:1706.04599, equations 2 and 3.
    """
    index = np.minimum((confidence * num_bins).astype(int), num_bins - 1)
    weights = np.stack([confidence, is_right, np.ones_like(confidence)])
    summed, right, events = np.stack([np.bincount(index, weight, num_bins) for weight in weights])
    filled = events > 0
    return summed[filled] / events[filled], right[filled], events[filled]
