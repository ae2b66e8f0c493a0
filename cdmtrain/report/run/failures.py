"""Where does it fail? Events called rightly and wrongly, by pixel count, by mean pixel, by softmax score."""

from typing import NamedTuple

import numpy as np

from cdmtrain.report.kit import style
from cdmtrain.report.kit.drawing import Drawing, Rows
from cdmtrain.report.kit.numbers import percent
from cdmtrain.report.run.curve_points import Bools, Floats
from cdmtrain.report.run_files import RunFiles

NUM_BINS = 30


class Measure(NamedTuple):
    """A figure of each test event."""

    name: str  # of the file
    title: str
    xlabel: str
    digits: int  # significant, where it is written
    value: Floats  # (event,)


def measures(run: RunFiles) -> list[Measure]:
    """Return what failures are looked for in; empty without predictions."""
    events = run.predictions
    if events is None or not len(events.class_index):
        return []
    lit, energy = events.lit_pixels.astype(np.float64), events.deposited_energy_mev
    mean = energy / lit.clip(min=1)
    score = events.probability.max(axis=1)
    return [
        Measure("failures_lit_pixels", "lit pixels", "lit pixels of an event", 3, lit),
        Measure("failures_mean_pixel", "mean pixel", "mean over the lit pixels (MeV)", 3, mean),
        Measure("failures_softmax_score", "softmax score", "highest softmax probability", 3, score),
    ]


def draw_failures(run: RunFiles) -> list[Drawing]:
    """Draw, for each measure, the distribution of right and of wrong events."""
    if run.predictions is None:
        return []
    return [_draw(measure, run.predictions.is_right) for measure in measures(run)]


def failure_rows(run: RunFiles) -> list[list[str]]:
    """Return a row a measure: its median where right and where wrong, the share of wrong in its ends' quarters."""
    rows = []
    for measure in measures(run):
        assert run.predictions is not None
        right = run.predictions.is_right
        low, high = np.quantile(measure.value, [0.25, 0.75])
        lowest, highest = ~right[measure.value <= low], ~right[measure.value >= high]
        medians = [_median(measure, right), _median(measure, ~right)]
        rows.append([measure.title, *medians, percent(lowest.mean()), percent(highest.mean())])
    return rows


FAILURE_HEADER = ["", "median, right", "median, wrong", "wrong, lowest quarter", "wrong, highest quarter"]


def finding(run: RunFiles) -> str:
    """Return where it fails most, in a sentence."""
    rows = failure_rows(run)
    if not rows or run.predictions is None or run.predictions.is_right.all():
        return ""
    wrong = percent(1 - run.predictions.is_right.mean())
    parts = [f"by {title} {lowest} of the lowest and {highest} of the highest" for title, _, _, lowest, highest in rows]
    return f"{wrong} of the test events get a wrong name; of the quarters of all events, {'; '.join(parts)}."


def _median(measure: Measure, chosen: Bools) -> str:
    return f"{np.median(measure.value[chosen]):.{measure.digits}g}" if chosen.any() else "-"


def _draw(measure: Measure, right: Bools) -> Drawing:
    low, high = float(measure.value.min()), float(np.quantile(measure.value, 0.995))
    edges = np.linspace(low, max(high, low + 1e-6), NUM_BINS + 1)
    inside = measure.value.clip(edges[0], edges[-1])
    shares = [100 * np.histogram(inside[chosen], edges)[0] / max(1, chosen.sum()) for chosen in (right, ~right)]
    figure = style.new_figure(height_inches=3.4)
    axes = style.new_axes(figure, measure.xlabel, "events per bin (%)", bottom=0.16)
    axes.stairs(shares[0], edges, color=style.INK, linewidth=1.7, label="called rightly")
    axes.stairs(shares[1], edges, color=style.BEST, linewidth=1.7, linestyle=(0, (5, 1.5)), label="called wrongly")
    axes.stairs(shares[1], edges, fill=True, color=style.BEST, alpha=0.15)
    axes.set_ylim(0, None)
    style.legend(axes)
    medians = f"{_median(measure, right)} where right, {_median(measure, ~right)} where wrong"
    words = f"Each outline adds up to 100 %; medians: {medians}. What lies beyond the right end is in the last bin."
    rows: Rows = [["from", "to", "right_percent", "wrong_percent"]]
    rows += list(zip(edges[:-1], edges[1:], *shares, strict=True))
    alternative = f"Distribution of {measure.title} of events called rightly and wrongly; medians {medians}."
    return Drawing(measure.name, f"By {measure.title}", words, alternative, figure, rows)
