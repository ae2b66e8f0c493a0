"""How the rows of a leaderboard look in figures: line styles, legends below, logarithmic axes."""

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, LogLocator, MaxNLocator, NullFormatter

from cdmtrain.report.kit import style

# Tol, SRON/EPS/TN/09-002 (2021), scheme "muted": distinguishable with every kind of colour vision; none is a particle's
COLOURS = ("#332288", "#CC6677", "#117733", "#88CCEE", "#882255", "#999933", "#44AA99", "#AA4499")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
DASHES = [line.dash for line in style.PARTICLES.values()]
LONGEST_NAME = 52  # characters in a legend
MOST_NAMED = 12  # rows in a legend
LINE_INCHES = 0.21  # of a legend


def row_style(index: int) -> style.LineStyle:
    """Return the line style of a row, 0 for the best."""
    return style.LineStyle(*(of[index % len(of)] for of in (COLOURS, MARKERS, DASHES)))


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
    legend = LINE_INCHES * min(num_rows, MOST_NAMED)
    return style.new_plot(xlabel, ylabel, height_inches=3.7 + legend, bottom=0.62 + legend)


def legend_below(axes: Axes) -> None:
    """Add the legend under the axes, one line for each row; beyond MOST_NAMED the rank in the table must do."""
    handles, labels = axes.get_legend_handles_labels()
    where: dict[str, Any] = {"loc": "lower left", "bbox_to_anchor": (0.02, 0.01), "frameon": False}
    look: dict[str, Any] = {"fontsize": style.SMALL, "labelcolor": style.INK, "labelspacing": 0.25, "borderaxespad": 0}
    axes.legend(handles[:MOST_NAMED], labels[:MOST_NAMED], bbox_transform=axes.figure.transFigure, **where, **look)
