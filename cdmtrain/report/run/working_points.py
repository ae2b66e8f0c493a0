"""Working points: what a cut on the probability of a class keeps of it, and what it lets through of the others."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator
from numpy.typing import NDArray

from cdmtrain.intervals import wilson_interval
from cdmtrain.report.kit import style
from cdmtrain.report.kit.metrics import Metric
from cdmtrain.report.kit.numbers import fraction, plural_name, two_digits
from cdmtrain.report.kit.page import Drawing, Rows
from cdmtrain.report.kit.quick_axes import QuickAxes, quick
from cdmtrain.report.kit.tables import Table
from cdmtrain.report.run.curves import Bools, Floats, roc_points
from cdmtrain.runs.predictions import Predictions
from cdmtrain.runs.records import Results

EFFICIENCIES = (0.5, 0.8, 0.9, 0.95)  # of the tables
REST = "all others"
OF_CUTS = (
    Metric("cut_efficiency", "efficiency", fraction),
    Metric("cut_purity", "purity", fraction),
    Metric("cut_rejection", "rejection of others", two_digits),
)
NUM_COLUMNS = 2  # of panels
PANEL_INCHES = 2.15
STEPS = 400  # of a curve along an axis
BINS = np.linspace(0, 1, 26)


class Pairing(NamedTuple):
    """Events of a class and of what it is told apart from, with the score that a cut is on."""

    signal: str
    background: str  # a class, or REST
    score: Floats
    is_signal: Bools


class WorkingPoint(NamedTuple):
    """A cut and what passes it: shares of signal and background with the ends of 68.3 % intervals."""

    cut: float
    efficiency: float
    kept: tuple[float, float, float]  # of the background: share, low, high

    @property
    def rejection(self) -> str:
        """1 / background kept with its interval, such as `52.1 (45.0 - 60.3)`; of no background kept its lower end."""
        share, low, high = self.kept
        if not share:
            return f"> {1 / high:.3g}"
        return f"{1 / share:.3g} ({1 / high:.3g} - {1 / low:.3g})"


def pairings(events: Predictions, names: Sequence[str]) -> Iterator[Pairing]:
    """Yield each class against all others, by its probability, and against each other, by p / (p + p of the other).

    Of a pair the true events of the two classes alone are counted. A class without events is left out.
    """
    present = [number for number in range(len(names)) if (events.class_index == number).any()]
    for signal in present:
        is_signal, own = events.class_index == signal, events.probability[:, signal]
        if len(present) > 1:
            yield Pairing(names[signal], REST, own, is_signal)
        for other in present if len(present) > 2 else []:
            if other != signal:
                pair = is_signal | (events.class_index == other)
                score = own[pair] / (own[pair] + events.probability[pair, other]).clip(min=1e-300)
                yield Pairing(names[signal], names[other], score, is_signal[pair])


def working_point(pairing: Pairing, efficiency: float) -> WorkingPoint:
    """Return the highest cut that keeps at least this share of the signal."""
    signal = np.sort(pairing.score[pairing.is_signal])
    cut = float(signal[int(np.floor((1 - efficiency) * len(signal) + 1e-9))])
    background = pairing.score[~pairing.is_signal]
    passed, total = np.array((background >= cut).sum(), float), np.array(len(background), float)
    low, high = wilson_interval(passed, total)
    return WorkingPoint(cut, float((signal >= cut).mean()), (float(passed / total), float(low), float(high)))


def rejection_tables(events: Predictions, names: Sequence[str]) -> list[Table]:
    """Return a table for each class: 1 / background kept at fixed efficiencies, for every other class and all."""
    tables: dict[str, Table] = {}
    header = ["rejection of", *(f"at {100 * one:g} %" for one in EFFICIENCIES)]
    for pairing in pairings(events, names):
        title = f"{plural_name(pairing.signal)} kept: {int(pairing.is_signal.sum()):,} events"
        table = tables.setdefault(pairing.signal, Table(header, [], title, classes=names))
        points = [working_point(pairing, one) for one in EFFICIENCIES]
        cells = [point.rejection for point in points]
        tables[pairing.signal] = table._replace(rows=[*table.rows, [pairing.background, *cells]])
    return list(tables.values())


def rejection_rows(events: Predictions, names: Sequence[str]) -> Rows:
    """Return the same as numbers, with the cuts."""
    rows: Rows = [["signal", "background", "efficiency", "cut", "background_kept", "low", "high"]]
    for pairing in pairings(events, names):
        points = [working_point(pairing, one) for one in EFFICIENCIES]
        rows += [[pairing.signal, pairing.background, one.efficiency, one.cut, *one.kept] for one in points]
    return rows


def cut_table(results: Results) -> Table:
    """Return what the cuts of an evaluation keep, a row for each class that has one; no row without cuts."""
    rows = [
        [name, *(metric.with_error(results, "", name) for metric in OF_CUTS)] for name in results.get("cut_purity", {})
    ]
    return Table(["cut on", *(metric.title for metric in OF_CUTS)], rows, "What the cuts keep")


def draw_working_points(events: Predictions | None, names: Sequence[str]) -> list[Drawing]:
    """Draw rejection against efficiency, efficiency and purity against the cut, and the scores, a panel a class."""
    if events is None or len(set(events.class_index.tolist())) < 2:
        return []
    return [_draw_rejection(events, names), _draw_cuts(events, names), _draw_scores(events, names)]


def _panels(names: Sequence[str], xlabel: str, ylabel: str) -> tuple[Figure, dict[str, Axes]]:
    """Return a figure with a panel for each class, with the class as title, and a legend line of classes above."""
    num_rows = -(-len(names) // NUM_COLUMNS)
    top = 0.3 + 0.22 * (1 + len(names) // 5)
    height = PANEL_INCHES * num_rows + 0.55 + top
    figure = style.new_figure(height)
    figure.subplots_adjust(left=0.14, right=0.98, bottom=0.55 / height, top=1 - top / height, wspace=0.16, hspace=0.22)
    grid = figure.subplots(
        num_rows, NUM_COLUMNS, sharex=True, sharey=True, squeeze=False, subplot_kw={"axes_class": QuickAxes}
    ).ravel()
    for axes in grid[len(names) :]:
        axes.set_visible(False)
    for axes, name in zip(grid, names, strict=False):
        style.dress(axes)
        axes.set_title(name, fontsize=style.SMALL, color=style.INK, pad=3, y=1)  # else matplotlib looks for room
    figure.supxlabel(xlabel, fontsize=style.FONT_SIZE, color=style.INK, x=0.56, y=0.08 / height)
    figure.supylabel(ylabel, fontsize=style.FONT_SIZE, color=style.INK, x=0.01)
    return figure, dict(zip(names, grid, strict=False))


def _set_all(panels: dict[str, Axes], **settings: Any) -> None:
    """Set the axes of the panels, which share them; small ticks between the numbers take longer than the curves."""
    first = next(iter(panels.values()))
    first.set(xticks=(0, 0.5, 1), **settings)
    first.yaxis.set_minor_locator(NullLocator())


def _legend(figure: Figure, panels: dict[str, Axes]) -> None:
    """Put one legend for all panels above them, with every line that one of them has."""
    found = {
        label: line for axes in panels.values() for line, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    order = [*(name for name in found if name not in panels), *(name for name in panels if name in found)]
    names, lines = style.by_rows(order), style.by_rows([found[name] for name in order])
    place: dict[str, Any] = {"loc": "upper center", "bbox_to_anchor": (0.54, 1), "borderaxespad": 0.1}
    quick(figure.legend(lines, names, **place, **style.LEGEND_LINES))


def _line(name: str, names: Sequence[str]) -> dict[str, Any]:
    """The line of a class, or of all others."""
    return style.line_styles(names).get(name, style.OTHER).line


def _draw_rejection(events: Predictions, names: Sequence[str]) -> Drawing:
    present = [name for number, name in enumerate(names) if (events.class_index == number).any()]
    figure, panels = _panels(present, "efficiency", "rejection, 1 / background kept")
    rows: Rows = [["signal", "background", "efficiency", "rejection"]]
    for pairing in pairings(events, names):
        efficiency, rejection = rejection_curve(pairing)
        line = _line(pairing.background, names)
        panels[pairing.signal].plot(efficiency, rejection, **line, linewidth=1.6, label=pairing.background)
        rows += [[pairing.signal, pairing.background, *pair] for pair in zip(efficiency, rejection, strict=True)]
    _set_all(panels, xlim=(0, 1.01), yscale="log")
    _legend(figure, panels)
    caption = (
        "Of which particle (the panel) how much is kept, against how well each other particle and all others together "
        "are rejected: 100 means that one in a hundred passes. A curve ends at the left where no other event passes."
    )
    return Drawing("rejection", "Rejection against efficiency", caption, _words(events, names), figure, rows)


def rejection_curve(pairing: Pairing) -> tuple[Floats, Floats]:
    """Return efficiency and 1 / background kept along the cut, where background passes, as finely as can be drawn."""
    background, efficiency = roc_points(pairing.score, pairing.is_signal)
    efficiency, rejection = efficiency[background > 0], 1 / background[background > 0]
    places = np.stack([efficiency * STEPS, np.log10(rejection) * STEPS / 4]).round()
    _, first = np.unique(places, axis=1, return_index=True)
    return efficiency[np.sort(first)], rejection[np.sort(first)]


def _words(events: Predictions, names: Sequence[str]) -> str:
    """The rejection of all others at an efficiency of 90 %, for each class, as a sentence for screen readers."""
    found = [one for one in pairings(events, names) if one.background == REST]
    rejections = (f"{one.signal} {working_point(one, 0.9).rejection}" for one in found)
    return f"Rejection at an efficiency of 90 %: {', '.join(rejections)}."


def _draw_cuts(events: Predictions, names: Sequence[str]) -> Drawing:
    figure, panels = _panels(names, "cut on the probability", "share")
    cuts = np.arange(101) / 100
    rows: Rows = [["particle", "cut", "efficiency", "efficiency_low", "efficiency_high", "purity", "low", "high"]]
    for number, (name, axes) in enumerate(panels.items()):
        is_signal, score = events.class_index == number, events.probability[:, number]
        passed = _num_above(score[is_signal], cuts), _num_above(score, cuts)
        efficiency = _shares(passed[0], np.full(len(cuts), is_signal.sum()))
        purity = _shares(*passed)
        for values, line, label in ((efficiency, style.OTHER, "efficiency"), (purity, style.CHOSEN, "purity")):
            axes.fill_between(cuts, values[1], values[2], color=line.colour, alpha=0.18, linewidth=0)
            axes.plot(cuts, values[0], **line.line, linewidth=1.6, label=label)
        rows += [[name, *column] for column in zip(cuts, *efficiency, *purity, strict=True)]
    _set_all(panels, xlim=(0, 1.01), ylim=(0, 1.03))
    _legend(figure, panels)
    caption = (
        "Events with at least this probability of a particle (the panel): which share of the particle they are "
        "(efficiency), and which share of them is the particle (purity, for the mix of particles in the test events). "
        "Bands: 68.3 % Wilson intervals."
    )
    words = "Efficiency and purity of each particle."
    return Drawing("cuts", "Efficiency and purity against the cut", caption, words, figure, rows)


def _num_above(score: Floats, cuts: Floats) -> Floats:
    return len(score) - np.searchsorted(np.sort(score), cuts, side="left").astype(float)


def _shares(passed: Floats, total: NDArray) -> tuple[Floats, Floats, Floats]:
    """Return passed / total and the ends of its interval; NaN where nothing is left."""
    with np.errstate(invalid="ignore", divide="ignore"):
        low, high = wilson_interval(passed, total.astype(float))
        return passed / total, low, high


def _draw_scores(events: Predictions, names: Sequence[str]) -> Drawing:
    figure, panels = _panels(names, "probability", "events of each particle per bin (%)")
    rows: Rows = [["probability_of", "true_particle", "from", "to", "percent"]]
    for number, (name, axes) in enumerate(panels.items()):
        for other, truth in enumerate(names):
            score = events.probability[events.class_index == other, number]
            if len(score) == 0:
                continue
            share = 100 * np.histogram(score, BINS)[0] / len(score)
            style.outline(axes, share, BINS, **_line(truth, names), linewidth=1.4, label=truth)
            rows += [[name, truth, *bin] for bin in zip(BINS[:-1], BINS[1:], share, strict=True)]
    _set_all(panels, xlim=(0, 1), yscale="log")
    _legend(figure, panels)
    caption = (
        "How the probability of a particle (the panel) is distributed for the events of each true particle. Each "
        "outline adds up to 100 %."
    )
    return Drawing("scores", "Scores by true particle", caption, "Distributions of each probability.", figure, rows)
