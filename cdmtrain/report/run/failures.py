"""Where the network fails: right and wrong events by lit pixels, by mean pixel energy, by softmax score."""

from typing import NamedTuple

import numpy as np

from cdmtrain.report.kit import style
from cdmtrain.report.kit.drawing import Drawing, Rows
from cdmtrain.report.kit.numbers import DASH, percent
from cdmtrain.report.run.curve_points import Bools, Floats
from cdmtrain.runs.predictions import Predictions

NUM_BINS = 30
HEADER = ["", "median, right", "median, wrong", "wrong, lowest quarter", "wrong, highest quarter"]


class Variable(NamedTuple):
    """A property of every test event."""

    name: str  # of the files
    title: str
    xlabel: str
    value: Floats  # (event,)

    def median(self, chosen: Bools) -> str:
        """The median over the chosen events, to three digits."""
        return f"{np.median(self.value[chosen]):.3g}" if chosen.any() else DASH


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
    edges = np.linspace(low, max(high, low + 1e-6), NUM_BINS + 1)
    inside = variable.value.clip(edges[0], edges[-1])
    shares = [100 * np.histogram(inside[chosen], edges)[0] / max(1, chosen.sum()) for chosen in (right, ~right)]
    figure, axes = style.new_plot(variable.xlabel, "events per bin (%)", height_inches=3.4)
    axes.stairs(shares[0], edges, color=style.INK, linewidth=1.7, label="classified right")
    axes.stairs(shares[1], edges, color=style.BEST, linewidth=1.7, linestyle=style.DASHED, label="classified wrong")
    axes.stairs(shares[1], edges, fill=True, color=style.BEST, alpha=0.15)
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
