"""Efficiency of each particle, and accuracy of all, against pixels, energies and the vertex of an event."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from cdmtrain.particles import NAMES
from cdmtrain.report.kit import style
from cdmtrain.report.kit.drawing import Drawing, Rows
from cdmtrain.report.run.curve_points import Bools, Floats, binomial_interval, equal_population_bins
from cdmtrain.runs.predictions import Predictions
from cdmtrain.runs.read import RunFiles

MOST_BINS = 8
FEWEST_EVENTS = 25  # in a bin: an efficiency of 0.8 is then known to 0.08
ALL = "all"


class Variable(NamedTuple):
    """A property of every test event."""

    name: str  # of the files
    title: str
    xlabel: str
    value: Floats  # (event,), NaN where unknown


def draw_efficiencies(run: RunFiles) -> list[Drawing]:
    """Draw the efficiency against every property of the events that is known."""
    if run.predictions is None or not len(run.predictions.class_index):
        return []
    return [_draw(run.predictions, one) for one in _variables(run.predictions, run.settings.data.image_size)]


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


def _draw(events: Predictions, variable: Variable) -> Drawing:
    figure, axes = style.new_plot(variable.xlabel, "efficiency", height_inches=4.0, top=style.LEGEND_INCHES)
    rows: Rows = [["particle", "mean", "efficiency", "low", "high", "events"]]
    spans: list[str] = []
    for index, name in enumerate((*NAMES, ALL)):
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
            line = style.PARTICLES[name]
            axes.errorbar(mean, efficiency, yerr=bars, **line.points, markersize=5.5, linewidth=1.4, label=name)
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
    bins = equal_population_bins(value, most_bins=MOST_BINS, fewest_events=FEWEST_EVENTS)
    if not bins:
        return np.empty((0, 5))
    mean, passed, total = np.array([(value[one].mean(), is_right[one].sum(), len(one)) for one in bins]).T
    return np.stack([mean, passed / total, *binomial_interval(passed, total), total], axis=1)
