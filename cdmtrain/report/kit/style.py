"""The plotting style of every figure: colours, line styles, axes and legends.

Figures are built as objects, without pyplot and without matplotlib's global settings, so that they can be drawn
without a display and in threads. At a width of 4.8 inches they are legible on a phone.
"""

import io
from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any, Final, Literal, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter, LogLocator, MaxNLocator, NullFormatter, StrMethodFormatter
from numpy.typing import NDArray

from cdmtrain.particles import PDG_CODES, find_code
from cdmtrain.report.kit.formats import own_style
from cdmtrain.report.kit.quick_axes import QuickAxes, quick

Floats = NDArray[np.float64]

BEST: Final = "#D55E00"  # Okabe and Ito's vermillion, which no particle has
INK: Final = "#1f2430"
GREY: Final = "#737a87"
GRID: Final = "#e3e6eb"
PAPER: Final = "#ffffff"
SHADES: Final = LinearSegmentedColormap.from_list("shades", ["#ffffff", "#d7e6f2", "#86b5d9", "#2f7fb8", "#08426b"])

DASHED: Final = (0, (5, 1.5))
THIN_DASHED: Final = (0, (4, 3))
DPI: Final = 200
FONT_SIZE: Final = 11.0
SMALL: Final = 9.5
WIDTH_INCHES: Final = 4.8
LEFT, RIGHT = 0.155, 0.96  # edges of the axes, the same in every figure so that they line up on the page
BOTTOM_INCHES, TOP_INCHES, LEGEND_INCHES = 0.56, 0.15, 0.44
LEGEND_COLUMNS, LEGEND_LINE_INCHES = 5, 0.2
LEGEND_LINES: Final[dict[str, Any]] = {
    **{"fontsize": SMALL, "labelcolor": INK, "frameon": False, "ncols": LEGEND_COLUMNS},
    **{"columnspacing": 0.8, "handletextpad": 0.3, "handlelength": 1.6},
}


class LineStyle(NamedTuple):
    """How a particle or a configuration is drawn in every figure; colour is never the only difference."""

    colour: str
    marker: str
    dash: Any

    @property
    def line(self) -> dict[str, Any]:
        """Matplotlib's keywords for a curve."""
        return {"color": self.colour, "linestyle": self.dash}

    @property
    def points(self) -> dict[str, Any]:
        """Matplotlib's keywords for a curve with markers."""
        return {**self.line, "marker": self.marker}


# Okabe and Ito, Color Universal Design (2008): distinguishable with every kind of colour vision
DEFAULT_CLASSES: Final = (
    LineStyle("#0072B2", "o", "-"),
    LineStyle("#009E73", "s", DASHED),
    LineStyle("#E69F00", "^", (0, (3, 1, 1, 1))),
    LineStyle("#CC79A7", "D", (0, (1.2, 1.2))),
)
# of other classes: what is left of that set, and colours that are lighter or darker than each of it
OTHER_CLASSES: Final = (
    LineStyle("#56B4E9", "v", (0, (7, 2, 1.2, 2))),
    LineStyle("#882255", "P", (0, (2.5, 1))),
    LineStyle("#A39A00", "X", (0, (5, 1.5, 1, 1, 1, 1.5))),
    LineStyle("#332288", "<", (0, (9, 2))),
    LineStyle("#7A4B21", ">", (0, (1, 2.4))),
    LineStyle("#6CCBA9", "p", (0, (4, 2, 4, 2, 1, 2))),
    LineStyle("#A0A4AB", "h", (0, (2, 2))),
    LineStyle("#E56B9F", "*", (0, (8, 1.5, 2, 1.5))),
)
ACCENT: Final = DEFAULT_CLASSES[0].colour  # where a single thing is drawn
# Tol, SRON/EPS/TN/09-002 (2021), scheme "muted": distinguishable with every kind of colour vision; none is a particle's
COLOURS = ("#332288", "#CC6677", "#117733", "#88CCEE", "#882255", "#999933", "#44AA99", "#AA4499")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
DASHES = [line.dash for line in DEFAULT_CLASSES]
LONGEST_NAME = 52  # characters in a legend
MOST_NAMED = 12  # rows in a legend
OTHER: Final = LineStyle(INK, "o", "-")
CHOSEN: Final = LineStyle(BEST, "s", DASHED)  # a second quantity of the same events
BEFORE, AFTER = LineStyle(GREY, "s", DASHED), OTHER  # a calibration


def line_styles(classes: Sequence[str]) -> Mapping[str, LineStyle]:
    """Return the line style of each class: a default particle has its own, another one the next that is free."""
    own, free = dict(zip(PDG_CODES, DEFAULT_CLASSES, strict=True)), cycle(OTHER_CLASSES)
    codes = {name: find_code(name) for name in classes}
    return {name: own[code] if code in own else next(free) for name, code in codes.items()}


class NotebookFigure(Figure):
    """A figure that a notebook shows, also where pyplot was never imported."""

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.savefig(buffer, format="png", dpi=DPI / 2)
        return buffer.getvalue()


def new_figure(height_inches: float = 3.7, width_inches: float = WIDTH_INCHES, colour: str = PAPER) -> Figure:
    """Return an empty figure."""
    shown = None if own_style.get() and colour == PAPER else colour
    return NotebookFigure(figsize=(width_inches, height_inches), dpi=DPI, facecolor=shown)


def new_axes(
    figure: Figure,
    xlabel: str = "",
    ylabel: str = "",
    *,
    left: float = LEFT,
    bottom: float = BOTTOM_INCHES,
    top: float = TOP_INCHES,
) -> Axes:
    """Return labelled axes; `left` is a fraction of the figure, `bottom` and `top` are margins in inches."""
    height = figure.get_figheight()
    axes = figure.add_axes((left, bottom / height, RIGHT - left, 1 - (bottom + top) / height), axes_class=QuickAxes)
    axes.set_xlabel(xlabel, fontsize=FONT_SIZE, color=INK)
    axes.set_ylabel(ylabel, fontsize=FONT_SIZE, color=INK)
    dress(axes)
    return axes


def new_plot(xlabel: str, ylabel: str = "", *, height_inches: float = 3.7, **margins: float) -> tuple[Figure, Axes]:
    """Return a figure with one pair of axes; the margins are those of `new_axes`."""
    figure = new_figure(height_inches)
    return figure, new_axes(figure, xlabel, ylabel, **margins)


def dress(axes: Axes) -> None:
    """Give axes the colours, ticks and grid of every figure, unless the user has chosen a style."""
    if own_style.get():
        return
    axes.tick_params(labelsize=SMALL, colors=INK, color=GREY, length=3, width=0.8, pad=3.5)
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(GREY)


def outline(axes: Axes, heights: Floats, edges: Floats, **line: Any) -> None:
    """Draw a histogram as a line from zero to zero; `Axes.stairs` measures each of its steps."""
    axes.plot(np.repeat(edges, 2), np.pad(np.repeat(heights, 2), 1), solid_joinstyle="miter", **line)


def area(axes: Axes, heights: Floats, edges: Floats, **look: Any) -> None:
    """Fill a histogram down to zero."""
    axes.fill_between(np.repeat(edges, 2)[1:-1], np.repeat(heights, 2), linewidth=0, **look)


def whole_numbers(axes: Axes) -> None:
    """Put the ticks of the horizontal axis at whole numbers: epochs, trials."""
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def legend(axes: Axes, *, loc: Literal["best", "upper left", "lower right"] = "best", title: str = "") -> None:
    """Add a legend inside the axes, without a frame."""
    box = quick(axes.legend(loc=loc, title=title, fontsize=SMALL, labelcolor=INK, framealpha=0.85, edgecolor="none"))
    box.get_title().set(fontsize=SMALL, color=GREY)


def legend_inches(num_names: int) -> float:
    """Return the top margin that `legend_above` needs for so many names."""
    return LEGEND_INCHES + LEGEND_LINE_INCHES * ((num_names - 1) // LEGEND_COLUMNS)


def legend_above(axes: Axes) -> None:
    """Add a legend above the axes, where it hides no point; needs the top margin `legend_inches`."""
    names = (by_rows(one) for one in axes.get_legend_handles_labels())
    quick(axes.legend(*names, loc="lower center", bbox_to_anchor=(0.46, 1.0), **LEGEND_LINES))


def by_rows(names: Sequence[Any]) -> list[Any]:
    """Order the entries of a legend so that they read row by row: matplotlib fills the columns."""
    return [one for column in range(LEGEND_COLUMNS) for one in names[column::LEGEND_COLUMNS]]


def diagonal(axes: Axes, label: str) -> None:
    """Draw the line from (0, 0) to (1, 1): guessing in a ROC figure, perfect calibration in a reliability diagram."""
    axes.add_line(Line2D([0, 1], [0, 1], color=GREY, linewidth=1.0, linestyle=THIN_DASHED, label=label))


def colour_bar(figure: Figure, mappable: ScalarMappable, label: str, *, width: float, colour: str = INK) -> None:
    """Add a horizontal logarithmic colour bar in the middle of the lower margin, `width` (a fraction) wide."""
    height = figure.get_figheight()
    axes = figure.add_axes(((1 - width) / 2, 0.5 / height, width, 0.105 / height))
    bar = figure.colorbar(mappable, cax=axes, orientation="horizontal")
    bar.locator, bar.formatter = LogLocator(subs=(1, 2, 5)), StrMethodFormatter("{x:g}")
    bar.minorticks_off()
    bar.update_ticks()
    bar.ax.tick_params(labelsize=SMALL, colors=colour, length=3)
    bar.ax.set_xlabel(label, fontsize=10, color=colour, labelpad=2)
    bar.outline.set_visible(False)


def row_style(index: int) -> LineStyle:
    """Return the line style of a row, 0 for the best."""
    return LineStyle(*(of[index % len(of)] for of in (COLOURS, MARKERS, DASHES)))


def numbered(index: int, name: str, *, longest: int = LONGEST_NAME) -> str:
    """Return `1  cnn`: the rank in the table and the name, shortened where it is too long."""
    return f"{index + 1}  {name if len(name) <= longest else name[: longest - 1] + '…'}"


def log_axis(axes: Axes) -> None:
    """Make the horizontal axis logarithmic where it is wide, with numbers at 1, 2 and 5 of a decade."""
    low, high = axes.dataLim.intervalx
    if not 0 < low < high / 3:  # a logarithmic axis so narrow would show no number
        axes.xaxis.set_major_locator(MaxNLocator(5))
        return
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high / low < 100 else (1,)))
    axes.xaxis.set_major_formatter(EngFormatter())
    axes.xaxis.set_minor_formatter(NullFormatter())


def new_plot_for_rows(xlabel: str, ylabel: str, num_rows: int) -> tuple[Figure, Axes]:
    """Return a figure and its axes, with room below for a legend of `num_rows` lines."""
    legend = 0.21 * min(num_rows, MOST_NAMED)
    return new_plot(xlabel, ylabel, height_inches=3.7 + legend, bottom=0.62 + legend)


def legend_below(axes: Axes) -> None:
    """Add the legend under the axes, one line for each row; beyond MOST_NAMED the rank in the table must do."""
    handles, labels = axes.get_legend_handles_labels()
    where: dict[str, Any] = {"loc": "lower left", "bbox_to_anchor": (0.02, 0.01), "frameon": False}
    look: dict[str, Any] = {"fontsize": SMALL, "labelcolor": INK, "labelspacing": 0.25, "borderaxespad": 0}
    axes.legend(handles[:MOST_NAMED], labels[:MOST_NAMED], bbox_transform=axes.figure.transFigure, **where, **look)
