"""Distributions of a data set: all classes in one figure, or each on top of the reference it is compared with."""

from collections.abc import Callable, Mapping, Sequence
from math import ceil
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cdmtrain.report.dataset.measure import SPECTRUM_EDGES_MEV, Floats, Sample, ks_distance, shared_classes
from cdmtrain.report.kit import style
from cdmtrain.report.kit.page import Drawing, Rows


def whole_bins(values: Floats) -> Floats:
    """Return edges between whole numbers, at most 48 bins."""
    top = float(np.quantile(values, 0.998)) + 1
    width = max(1, ceil(top / 48))
    return np.arange(ceil(top / width) + 1) * width - 0.5


def even_bins(values: Floats) -> Floats:
    """Return edges from zero in steps of 1, 2, 2.5 or 5 times a power of ten, about 50 bins."""
    top = max(1e-3, float(np.quantile(values, 0.998)))
    power = 10.0 ** np.floor(np.log10(top / 60))
    width = next(step * power for step in (1, 2, 2.5, 5, 10) if step * power >= top / 60)
    return np.arange(0, ceil(top / width) + 1) * width


def log_bins(values: Floats) -> Floats:
    """Return the edges of 48 bins of equal ratio; an event without energy falls into the first."""
    lit = values[values > 0] if (values > 0).any() else np.array([1.0])
    low, high = np.quantile(lit, [0.002, 0.998])
    return np.geomspace(0.9 * low, 1.1 * high, 49)


class Quantity(NamedTuple):
    """A quantity of every event and how its distribution is drawn."""

    key: str
    title: str
    xlabel: str
    edges: Callable[[Floats], Floats]
    xscale: str = "linear"
    yscale: str = "linear"


QUANTITIES = (
    Quantity("lit_pixels", "Lit pixels", "lit pixels of an event", whole_bins),
    Quantity("sum_mev", "Deposited energy", "energy deposited in the image (MeV)", even_bins),
    Quantity("brightest_mev", "Brightest pixel", "energy of the brightest pixel (MeV)", log_bins, "log"),
    Quantity("vertex_to_edge_px", "Vertex to edge", "vertex to nearest edge (pixels)", whole_bins, yscale="log"),
    Quantity("kinetic_energy_mev", "Kinetic energy", "kinetic energy (MeV)", even_bins),
)
PIXELS = Quantity("pixel_spectrum", "Pixel energy", "energy of a pixel (MeV)", log_bins, "log", "log")


class Histogram(NamedTuple):
    """The heights of the bins for each class, in the sample and, if there is one, in the reference."""

    quantity: Quantity
    edges: Floats
    ylabel: str
    caption: str
    heights: list[dict[str, Floats]]
    notes: dict[str, str]  # class -> its distance from the reference
    styles: Mapping[str, style.LineStyle]


def draw_distributions(samples: Sequence[Sample]) -> list[Drawing]:
    """Draw every quantity that the sample and the reference have, and the spectrum of all pixels."""
    names = shared_classes(samples)
    known = [
        one for one in QUANTITIES if all(any(len(sample.values(one.key, name)) for name in names) for sample in samples)
    ]
    histograms = [_of_events(quantity, samples, names) for quantity in known]
    histograms.insert(3, _of_pixels(samples, names))
    return [_drawing(histogram, [sample.title for sample in samples]) for histogram in histograms]


def _of_events(quantity: Quantity, samples: Sequence[Sample], names: list[str]) -> Histogram:
    values = [{name: sample.values(quantity.key, name) for name in names} for sample in samples]
    edges = quantity.edges(np.concatenate([one for each in values for one in each.values()]))
    heights = [{name: _percent(one, edges) for name, one in each.items()} for each in values]
    notes = {name: f"KS {ks_distance(*(each[name] for each in values)):.3f}" for name in names if len(samples) > 1}
    caption = "Each class adds up to 100 %; the outermost bins hold the overflow."
    return Histogram(quantity, edges, "events per bin (%)", caption, heights, notes, samples[0].styles)


def _percent(values: Floats, edges: Floats) -> Floats:
    return 100 * np.histogram(values.clip(edges[0], edges[-1]), edges)[0] / max(1, len(values))


def _of_pixels(samples: Sequence[Sample], names: list[str]) -> Histogram:
    filled = np.flatnonzero(np.sum([sample.spectrum.sum(axis=0) for sample in samples], axis=0))
    first, last = (int(filled[0]), int(filled[-1]) + 1) if len(filled) else (0, 1)
    heights = [
        {name: (each.total(each.spectrum, name) / each.of(name).sum())[first:last] for name in names}
        for each in samples
    ]
    caption = "Number of lit pixels in an average event, in bins of equal ratio, 20 per decade."
    return Histogram(
        PIXELS, SPECTRUM_EDGES_MEV[first : last + 1], "pixels per event", caption, heights, {}, samples[0].styles
    )


def _drawing(histogram: Histogram, titles: list[str]) -> Drawing:
    quantity, caption = histogram.quantity, histogram.caption
    alternative = f"{quantity.title} of {', '.join(histogram.heights[0])} in {titles[0]}."
    if len(titles) > 1:
        caption = f"Lines: {titles[0]}; grey: {titles[1]}. {caption}"
        if histogram.notes:
            caption += " KS: Kolmogorov-Smirnov distance, 0 for equal distributions."
        notes = [f"{name} {note}" for name, note in histogram.notes.items()] or list(histogram.heights[0])
        alternative = f"{quantity.title} of {titles[0]} against {titles[1]}: {', '.join(notes)}."
    figure = _draw_apart(histogram) if len(titles) > 1 else _draw_together(histogram)
    return Drawing(quantity.key, quantity.title, caption, alternative, figure, _rows(histogram))


def _rows(histogram: Histogram) -> Rows:
    rows: Rows = [["class", "from", "to", *("sample", "reference")[: len(histogram.heights)]]]
    for name in histogram.heights[0]:
        columns = [histogram.edges[:-1], histogram.edges[1:], *(each[name] for each in histogram.heights)]
        rows += [[name, *row] for row in np.stack(columns, axis=1).tolist()]
    return rows


def _draw_together(histogram: Histogram) -> Figure:
    xlabel, ylabel = histogram.quantity.xlabel, histogram.ylabel
    figure, axes = style.new_plot(xlabel, ylabel, height_inches=4.0, top=style.legend_inches(len(histogram.heights[0])))
    for name, heights in histogram.heights[0].items():
        line = histogram.styles.get(name, style.OTHER)
        axes.stairs(heights, histogram.edges, fill=True, color=line.colour, alpha=0.07)
        axes.stairs(heights, histogram.edges, **line.line, linewidth=1.7, label=name)
    _scale(axes, histogram)
    style.legend_above(axes)
    return figure


def _draw_apart(histogram: Histogram) -> Figure:
    """Draw one panel for each class, all on the same scale."""
    names, (sample, reference) = list(histogram.heights[0]), histogram.heights
    num_rows = ceil(len(names) / 2)
    height = 1.75 * num_rows + 0.75
    figure = style.new_figure(height)
    edges = {"left": 0.135, "right": 0.98, "bottom": 0.55 / height, "top": 1 - 0.28 / height}
    grid = figure.add_gridspec(num_rows, min(2, len(names)), **edges, hspace=0.24, wspace=0.07)
    for index, name in enumerate(names):
        shared, colour = figure.axes[0] if figure.axes else None, histogram.styles.get(name, style.OTHER).colour
        axes = figure.add_subplot(grid[divmod(index, 2)], sharex=shared, sharey=shared)
        style.dress(axes)
        axes.tick_params(labelleft=index % 2 == 0, labelbottom=index + 2 >= len(names))
        axes.stairs(reference[name], histogram.edges, fill=True, color="#c9ced6")
        axes.stairs(sample[name], histogram.edges, color=colour, linewidth=1.5)
        axes.set_title(name, loc="left", fontsize=style.FONT_SIZE, color=colour, pad=3, fontweight="bold")
        axes.set_title(histogram.notes.get(name, ""), loc="right", fontsize=style.SMALL, color=style.GREY, pad=3)
    _scale(figure.axes[0], histogram)
    figure.supxlabel(histogram.quantity.xlabel, fontsize=style.FONT_SIZE, color=style.INK, x=0.557, y=0.015)
    figure.supylabel(histogram.ylabel, fontsize=style.FONT_SIZE, color=style.INK, x=0.012)
    return figure


def _scale(axes: Axes, histogram: Histogram) -> None:
    heights = np.concatenate([one for each in histogram.heights for one in each.values()])
    floor = 0.6 * heights[heights > 0].min(initial=1.0) if histogram.quantity.yscale == "log" else 0
    axes.set(xlim=(histogram.edges[0], histogram.edges[-1]), xscale=histogram.quantity.xscale)
    top = (2 if floor else 1.06) * max(heights.max(), 2 * floor, 1e-9)
    axes.set(ylim=(floor, top), yscale=histogram.quantity.yscale)
