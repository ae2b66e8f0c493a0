"""Efficiency of each particle, and accuracy of all, against what is known of an event: pixels, energies, the vertex."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes

from cdmtrain.particles import PARTICLES
from cdmtrain.report.kit import numbers, style
from cdmtrain.report.kit.drawing import Drawing, Rows
from cdmtrain.report.run.curve_points import Floats, binomial_interval, equal_population_bins
from cdmtrain.report.run_files import RunFiles

MOST_BINS = 8
FEWEST_EVENTS = 25  # of a bin: an efficiency of 0.8 is then known to 0.08


def draw_efficiency_by_pixels(run: RunFiles) -> Drawing | None:
    """Draw efficiency against the number of lit pixels."""
    value = None if run.predictions is None else run.predictions.lit_pixels.astype(float)
    return _draw(run, value, name="efficiency_lit_pixels", of="lit pixels", xlabel="lit pixels")


def draw_efficiency_by_deposit(run: RunFiles) -> Drawing | None:
    """Draw efficiency against the energy deposited in the image."""
    value = None if run.predictions is None else run.predictions.deposited_energy_mev
    name, xlabel = "efficiency_deposited_energy", "deposited energy in the image (MeV)"
    return _draw(run, value, name=name, of="deposited energy", xlabel=xlabel)


def draw_efficiency_by_kinetic_energy(run: RunFiles) -> Drawing | None:
    """Draw efficiency against the particle's kinetic energy, where the file knew it."""
    value = None if run.predictions is None else run.predictions.kinetic_energy_mev
    return _draw(run, value, name="efficiency_kinetic_energy", of="kinetic energy", xlabel="kinetic energy (MeV)")


def draw_efficiency_by_vertex(run: RunFiles) -> Drawing | None:
    """Draw efficiency against the distance of the vertex to the nearest edge of the image, where the file knew it."""
    vertex = None if run.predictions is None else run.predictions.vertex_px
    size: Any = (run.config.get("data") or {}).get("image_size")
    if vertex is None or not numbers.is_number(size) or not len(vertex):
        return None
    value = np.minimum(vertex, size - 1 - vertex).min(axis=1)
    name, xlabel = "efficiency_vertex_to_edge", "vertex to the nearest edge (pixels)"
    return _draw(run, value, name=name, of="distance of the vertex to the edge", xlabel=xlabel)


def _draw(run: RunFiles, value: Floats | None, *, name: str, of: str, xlabel: str) -> Drawing | None:
    if run.predictions is None or value is None or not len(value):
        return None
    figure = style.new_figure(height_inches=4.0)
    axes = style.new_axes(figure, xlabel, "efficiency", bottom=0.135, top=0.89)
    rows: Rows = [["particle", "mean", "efficiency", "low", "high", "events"]]
    for particle in PARTICLES:
        events = np.flatnonzero((run.predictions.class_index == particle.class_index) & np.isfinite(value))
        points = _points(value[events], run.predictions.is_right[events])
        if len(points):
            _plot(axes, particle.name, points)
            rows += [[particle.name, *point[:4], int(point[4])] for point in points.tolist()]
    everything = np.flatnonzero(np.isfinite(value))
    points = _points(value[everything], run.predictions.is_right[everything])
    if len(points):
        axes.plot(points[:, 0], points[:, 1], color=style.INK, linestyle=(0, (4, 2)), linewidth=1.4, label="all")
        rows += [["all", *point[:4], int(point[4])] for point in points.tolist()]
    axes.set_ylim(0, 1.03)
    style.legend_above(axes)
    words = (
        f"Fraction of each particle's events that get its name, against {of}; dashed: accuracy, of all together. Bins "
        "of equal population, drawn at their mean; bars: 68.3 % Wilson intervals."
    )
    spans = [f"{particle.name} {_span(rows, particle.name)}" for particle in PARTICLES if _span(rows, particle.name)]
    alternative = f"Efficiency against {of}; lowest and highest bin: {'; '.join(spans)}."
    return Drawing(name, f"Efficiency against {of}", words, alternative, figure, rows)


def _points(value: Floats, is_right: np.ndarray) -> Floats:
    """Return (bin, 5): mean of `value`, efficiency, its interval, events."""
    bins = equal_population_bins(value, most_bins=MOST_BINS, fewest_events=FEWEST_EVENTS)
    if not bins:
        return np.empty((0, 5))
    mean = np.array([value[events].mean() for events in bins])
    passed = np.array([is_right[events].sum() for events in bins], dtype=float)
    total = np.array([len(events) for events in bins], dtype=float)
    return np.stack([mean, passed / total, *binomial_interval(passed, total), total], axis=1)


def _plot(axes: Axes, name: str, points: Floats) -> None:
    mean, efficiency, low, high, _ = points.T
    axes.errorbar(
        mean,
        efficiency,
        yerr=np.stack([efficiency - low, high - efficiency]),
        color=style.COLOURS[name],
        marker=style.MARKERS[name],
        markersize=5.5,
        linewidth=1.4,
        elinewidth=1.4,
        label=name,
    )


def _span(rows: Rows, name: str) -> str:
    """Return the efficiency in the first and the last bin of a particle, in words."""
    mine = [row for row in rows[1:] if row[0] == name]
    return f"{mine[0][2]:.2f} and {mine[-1][2]:.2f}" if mine else ""
