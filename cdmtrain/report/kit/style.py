"""The one plotting style: colours, sizes and axes of every figure.

Figures are drawn on the Agg canvas as objects, without pyplot and without touching matplotlib's global settings, so
that they can be made without a display and in threads. A figure 4.8 inches wide is legible at the 358 px of a phone.
"""

from typing import Final, Literal

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

Place = Literal["best", "upper left", "lower right"]

# Okabe and Ito, Color Universal Design (2008): told apart with every kind of colour vision; one a particle, everywhere
COLOURS: Final = {"electron": "#0072B2", "muon": "#009E73", "photon": "#E69F00", "proton": "#CC79A7"}
MARKERS: Final = {"electron": "o", "muon": "s", "photon": "^", "proton": "D"}  # in grey print the shape tells
DASHES: Final = {"electron": "-", "muon": (0, (5, 1.5)), "photon": (0, (3, 1, 1, 1)), "proton": (0, (1.2, 1.2))}
BEST: Final = "#D55E00"  # Okabe and Ito's vermillion, no particle's
INK: Final = "#1f2430"
GREY: Final = "#737a87"
GRID: Final = "#e3e6eb"
PAPER: Final = "#ffffff"

DPI: Final = 200
FONT_SIZE: Final = 11.0
SMALL: Final = 9.5
WIDTH_INCHES: Final = 4.8


def colour(name: str) -> str:
    """Return a particle's colour; ink for all together or for events of unknown particle."""
    return COLOURS.get(name, INK)


def new_figure(height_inches: float = 3.7, width_inches: float = WIDTH_INCHES, colour: str = PAPER) -> Figure:
    """Return an empty figure with its own Agg canvas."""
    figure = Figure(figsize=(width_inches, height_inches), dpi=DPI, facecolor=colour)
    FigureCanvasAgg(figure)
    return figure


def new_axes(figure: Figure, xlabel: str, ylabel: str, *, bottom: float = 0.15, top: float = 0.96) -> Axes:
    """Return axes at the place they have in every figure (left and right edges line up on the page)."""
    axes = figure.add_axes((0.155, bottom, 0.805, top - bottom))
    axes.set_xlabel(xlabel, fontsize=FONT_SIZE, color=INK)
    axes.set_ylabel(ylabel, fontsize=FONT_SIZE, color=INK)
    dress(axes)
    return axes


def dress(axes: Axes) -> None:
    """Give axes the colours, ticks and grid that all have."""
    axes.tick_params(labelsize=SMALL, colors=INK, color=GREY, length=3)
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(GREY)


def legend(axes: Axes, *, place: Place = "best", title: str | None = None) -> None:
    """Add a legend inside the axes, without a frame."""
    box = axes.legend(loc=place, title=title, fontsize=SMALL, labelcolor=INK, framealpha=0.85, edgecolor="none")
    box.get_title().set_fontsize(SMALL)
    box.get_title().set_color(GREY)


def legend_above(axes: Axes) -> None:
    """Add a legend in one line above the axes, where no point can be hidden."""
    axes.legend(
        loc="lower center",
        bbox_to_anchor=(0.46, 1.0),
        ncols=5,
        columnspacing=0.8,
        handletextpad=0.3,
        handlelength=1.6,
        fontsize=SMALL,
        labelcolor=INK,
        frameon=False,
    )


def diagonal(axes: Axes, label: str) -> None:
    """Draw the line from (0, 0) to (1, 1): guessing in a ROC figure, perfect calibration in a reliability diagram."""
    axes.add_line(Line2D([0, 1], [0, 1], color=GREY, linewidth=1.0, linestyle=(0, (4, 3)), label=label))
