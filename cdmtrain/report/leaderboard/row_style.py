"""How the rows of a leaderboard are told apart in figures: colour, mark and dash, never colour alone."""

from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from cdmtrain.report.kit import style

# Tol, SRON/EPS/TN/09-002 (2021), scheme "muted": told apart with every kind of colour vision; none is a particle's
COLOURS = ("#332288", "#CC6677", "#117733", "#88CCEE", "#882255", "#999933", "#44AA99", "#AA4499")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
DASHES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (3, 1, 1, 1)), (0, (1.2, 1.2)))
LONGEST = 52  # letters of a name in a legend
MOST_NAMED = 12  # rows in a legend
LINE_INCHES = 0.21  # of a legend


class Look(NamedTuple):
    """Of one row, the same in every figure."""

    colour: str
    marker: str
    dash: Any


def look_of(place: int) -> Look:
    """Return how the row at `place` (0 is the best) is drawn."""
    return Look(COLOURS[place % len(COLOURS)], MARKERS[place % len(MARKERS)], DASHES[place % len(DASHES)])


def numbered(place: int, name: str, *, longest: int = LONGEST) -> str:
    """Return `1  cnn`: the rank in the table, and the name as far as it fits."""
    return f"{place + 1}  {name if len(name) <= longest else name[: longest - 1] + '…'}"


def log_axis(axes: Axes) -> None:
    """Make the horizontal axis logarithmic where it is wide, with numbers at 1, 2 and 5 of a decade."""
    low, high = axes.dataLim.intervalx
    if not 0 < low < high / 3:  # so narrow a range needs no logarithm, and would show no number
        axes.xaxis.set_major_locator(MaxNLocator(5))
        return
    axes.set_xscale("log")
    steps = (1, 2, 5) if high / low < 100 else (1,)
    axes.xaxis.set_major_locator(LogLocator(subs=steps))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _written(value)))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _written(value: float) -> str:
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if value >= size:
            return f"{value / (1e3 if letter == 'k' else size):g} {letter}"
    return f"{value:g}"


def new_axes_with_legend(xlabel: str, ylabel: str, num_rows: int, *, height_inches: float = 3.7) -> tuple[Figure, Axes]:
    """Return a figure and its axes, with room below for a legend of so many lines."""
    legend = LINE_INCHES * min(num_rows, MOST_NAMED)
    height = height_inches + legend
    figure = style.new_figure(height_inches=height)
    return figure, style.new_axes(figure, xlabel, ylabel, bottom=(0.62 + legend) / height, top=0.97)


def legend_below(axes: Axes) -> None:
    """Add the legend under the axes, a line a row; beyond MOST_NAMED the rank in the table is enough."""
    handles, labels = axes.get_legend_handles_labels()
    axes.legend(
        handles[:MOST_NAMED],
        labels[:MOST_NAMED],
        loc="lower left",
        bbox_to_anchor=(0.02, 0.01),
        bbox_transform=axes.figure.transFigure,
        fontsize=style.SMALL,
        labelcolor=style.INK,
        labelspacing=0.25,
        frameon=False,
        borderaxespad=0,
    )
