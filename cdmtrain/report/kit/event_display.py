"""Pictures of particles, as an event display: energy in colour, a scale bar in centimetres."""

from collections.abc import Iterable, Mapping
from math import ceil
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, ListedColormap, LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, StrMethodFormatter
from numpy.typing import NDArray

from cdmtrain.atomic import whole_file
from cdmtrain.particles import PARTICLES
from cdmtrain.report.kit import style
from cdmtrain.report.kit.drawing import png_bytes

PITCH_CM = 0.3  # of a pixel
LEAST_MEV = 0.05  # the threshold of a voxel: the dark end of the scale
CONTAINED = 0.95  # of the energy, along rows and along columns, lies in the window
NIGHT = "#0d1117"
FAINT = "#9aa3b0"
PANEL_DOTS = 480  # at least so wide is a panel
GAP_INCHES, TOP_INCHES, BOTTOM_INCHES = 0.12, 0.45, 0.78


def draw_particles(
    path: Path, images: Mapping[str, NDArray[np.floating]], *, window: int | None = None, bar_cm: float = 10
) -> None:
    """Draw examples of each particle into the PNG `path`, as `particles_figure` does."""
    png = png_bytes(particles_figure(images, window=window, bar_cm=bar_cm))
    with whole_file(path) as temporary:
        temporary.write_bytes(png)


def particles_figure(
    images: Mapping[str, NDArray[np.floating]], *, window: int | None = None, bar_cm: float = 10
) -> Figure:
    """Return a figure of examples of each particle: a column a particle, a row an example.

    Args:
        images: for each particle's name, deposited energy in MeV, (row, column) or (example, row, column).
        window: side of the square shown of each image, in pixels, placed where the energy is; None: the least that
            holds 95 % of every event's energy; 192: the whole image.
        bar_cm: length of the scale bar.
    """
    columns = {name: image if image.ndim == 3 else image[None] for name, image in images.items()}
    size = max(events.shape[-1] for events in columns.values())
    side = min(size, window or max(side_of(event) for events in columns.values() for event in events))
    norm = LogNorm(LEAST_MEV, max(2 * LEAST_MEV, *(float(events.max()) for events in columns.values())))
    num_rows = max(len(events) for events in columns.values())
    panel = side * ceil(PANEL_DOTS / side) / style.DPI  # inches; a pixel is a whole number of dots, all the same
    figure, pitch = _new_figure(num_rows, len(columns), panel), panel + GAP_INCHES
    for column, (name, events) in enumerate(columns.items()):
        for row, event in enumerate(events):
            bottom = BOTTOM_INCHES + GAP_INCHES + (num_rows - 1 - row) * pitch
            axes = new_panel(figure, GAP_INCHES + column * pitch, bottom, panel)
            draw_event(axes, event, side, norm, bar_cm=bar_cm if row == column == 0 else None)
            if row == 0:
                _write_name(axes, name)
    _draw_colour_bar(figure, norm)
    return figure


def _new_figure(num_rows: int, num_columns: int, panel: float) -> Figure:
    pitch = panel + GAP_INCHES
    height = num_rows * pitch + TOP_INCHES + BOTTOM_INCHES
    return style.new_figure(width_inches=num_columns * pitch + GAP_INCHES, height_inches=height, colour=NIGHT)


def new_panel(figure: Figure, left: float, bottom: float, side: float) -> Axes:
    """Return a black square without ticks, `side` inches wide, so many inches from the figure's lower left corner."""
    width, height = figure.get_size_inches()
    axes = figure.add_axes((left / width, bottom / height, side / width, side / height))
    axes.set_facecolor("#000000")
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_color("#2a313c")
    return axes


def _colours() -> Colormap:
    """Return matplotlib's inferno without its darkest quarter, so that a faint pixel shows on black."""
    return ListedColormap(mpl.colormaps["inferno"](np.linspace(0.25, 1.0, 256)))


def _extent(event: NDArray[np.floating], axis: int) -> tuple[float, float]:
    """Return the first and last pixel along `axis` that enclose 95 % of the energy; the middle of an empty image."""
    profile = np.cumsum(event.sum(axis=1 - axis, dtype=np.float64))
    if not profile[-1]:
        return len(profile) / 2, len(profile) / 2
    first, last = np.searchsorted(profile, profile[-1] * np.array([0.5 - CONTAINED / 2, 0.5 + CONTAINED / 2]))
    return float(first), float(last)


def side_of(event: NDArray[np.floating]) -> int:
    """Return the side of the square window an event asks for, a margin included, in pixels."""
    spans: Iterable[float] = (last - first for first, last in (_extent(event, 0), _extent(event, 1)))
    return max(48, round(1.12 * max(spans)) + 4)


def _corner(event: NDArray[np.floating], side: int) -> tuple[int, int]:
    """Return the first row and column of the window with most energy, in the middle of all that are as good."""
    total = np.pad(event.astype(np.float64).cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
    inside = total[side:, side:] - total[:-side, side:] - total[side:, :-side] + total[:-side, :-side]
    good = np.argwhere(inside >= 0.99 * inside.max())
    row, column = good[np.square(good - good.mean(axis=0)).sum(axis=1).argmin()]
    return int(row), int(column)


def draw_event(
    axes: Axes, event: NDArray[np.floating], side: int, norm: LogNorm, *, bar_cm: float | None = None
) -> None:
    """Draw the window of an event, row 0 at the bottom, with a scale bar where its length is given."""
    axes.imshow(np.ma.masked_less_equal(event, 0), norm=norm, cmap=_colours(), interpolation="nearest")
    row, column = _corner(event, side)
    axes.set_xlim(column - 0.5, column + side - 0.5)
    axes.set_ylim(row - 0.5, row + side - 0.5)
    if bar_cm is not None:
        _draw_scale_bar(axes, side, bar_cm)


def _write_name(axes: Axes, name: str) -> None:
    """Write a particle's name and symbol above its column; any other name, such as unknown, in grey."""
    symbol = next((particle.latex for particle in PARTICLES if particle.name == name), "")
    axes.set_title(f"{name}  {symbol}".strip(), fontsize=15, color=lighter(style.COLOURS.get(name, FAINT)), pad=8)


def lighter(colour: str) -> tuple[float, ...]:
    """Return a colour mixed with a third of white, to be read on black."""
    return tuple(0.67 * channel + 0.33 for channel in mpl.colors.to_rgb(colour))


def _draw_scale_bar(axes: Axes, side: int, bar_cm: float) -> None:
    left, bottom = axes.get_xlim()[0] + 0.06 * side, axes.get_ylim()[0] + 0.07 * side
    axes.plot([left, left + bar_cm / PITCH_CM], [bottom, bottom], color="white", linewidth=2.2, solid_capstyle="butt")
    axes.text(left, bottom + 0.025 * side, f"{bar_cm:g} cm", color="white", fontsize=11, ha="left", va="bottom")


def _draw_colour_bar(figure: Figure, norm: LogNorm) -> None:
    height = figure.get_size_inches()[1]
    place = figure.add_axes((0.25, 0.5 / height, 0.5, 0.11 / height))
    bar = figure.colorbar(ScalarMappable(norm, _colours()), cax=place, orientation="horizontal")
    bar.locator = LogLocator(subs=(1, 2, 5))
    bar.formatter = StrMethodFormatter("{x:g}")
    bar.minorticks_off()
    bar.update_ticks()
    bar.ax.tick_params(labelsize=10, colors=FAINT, length=3)
    bar.ax.set_xlabel("deposited energy in a pixel (MeV)", fontsize=11, color=FAINT, labelpad=2)
    bar.outline.set_visible(False)
