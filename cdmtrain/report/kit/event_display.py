"""Event displays: deposited energy in colour on black, with a scale bar in centimetres."""

from collections.abc import Mapping, Sequence
from math import ceil
from typing import Any, NamedTuple, cast

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, ListedColormap, LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle
from matplotlib.transforms import IdentityTransform
from numpy.typing import NDArray

from cdmtrain.particles import DEFAULT, Classes
from cdmtrain.report.kit import style
from cdmtrain.report.kit.png import Renderer

Image = NDArray[np.floating]

PITCH_CM = 0.3  # of a pixel
LEAST_MEV = 0.05  # the simulation's threshold of a voxel: the dark end of the colour scale
CONTAINED = 0.95  # fraction of the energy, along rows and along columns, inside the window
BAR_CM = 10  # length of the scale bar
NIGHT = "#0d1117"
FAINT = "#9aa3b0"
PANEL_DOTS = 480  # the least width of a panel
GAP_INCHES, TOP_INCHES, BOTTOM_INCHES = 0.12, 0.45, 0.78
# matplotlib's inferno without its darkest quarter, so that a faint pixel is visible on black
COLOURS = ListedColormap(mpl.colormaps["inferno"](np.linspace(0.25, 1.0, 256)))


def particles_figure(images: Mapping[str, Image], classes: Classes = DEFAULT, *, window: int | None = None) -> Figure:
    """Return a figure of examples of each particle: a column for each particle, a row for each example.

    Args:
        images: particle's name -> deposited energy in MeV, (row, column) or (example, row, column).
        classes: the particles with a symbol and a colour; every other name is grey.
        window: side in pixels of the part of each image that is shown, placed where the energy is; None for the
            smallest one that holds 95 % of every event's energy.
    """
    symbols = {one.name: one.latex for one in classes}
    styles = style.line_styles(list(symbols))
    columns = {name: image if image.ndim == 3 else image[None] for name, image in images.items()}
    everything = [event for events in columns.values() for event in events]
    side, norm = shared_scale(everything, window)
    num_rows = max(len(events) for events in columns.values())
    panel = side * ceil(PANEL_DOTS / side) / style.DPI  # inches; a pixel is a whole number of dots
    pitch = panel + GAP_INCHES
    height = num_rows * pitch + TOP_INCHES + BOTTOM_INCHES
    night = new_night(height, len(columns) * pitch + GAP_INCHES)
    for column, (name, events) in enumerate(columns.items()):
        for row, event in enumerate(events):
            bottom = BOTTOM_INCHES + GAP_INCHES + (num_rows - 1 - row) * pitch
            drawn = draw_event(night, event, (GAP_INCHES + column * pitch, bottom, panel), side, norm)
            if row == column == 0:
                drawn.scale_bar()
            if row == 0:
                colour = on_black(styles[name].colour) if name in styles else FAINT
                title = f"{name}  {symbols.get(name, '')}".strip()
                drawn.title(title, colour, font_size=15, pad=8)
    bar = ScalarMappable(norm, COLOURS)
    figure = cast(Figure, night.figure)
    style.colour_bar(figure, bar, "deposited energy in a pixel (MeV)", width=0.5, colour=FAINT)
    return figure


def shared_scale(images: Sequence[Image], window: int | None = None) -> tuple[int, LogNorm]:
    """Return the side of the window in pixels and the colour scale that suit all of `images`."""
    side = min(max(image.shape[-1] for image in images), window or max(map(window_side, images)))
    return side, LogNorm(LEAST_MEV, max(2 * LEAST_MEV, *(float(image.max()) for image in images)))


class Panel(NamedTuple):
    """A square in which an event is drawn, in inches of its figure, and the window of pixels that it shows."""

    axes: Axes
    left: float
    bottom: float
    size: float
    row: int
    column: int
    side: int

    def inches(self, column: Image | float, row: Image | float) -> tuple[Any, Any]:
        """Return where pixels are drawn."""
        pixel = self.size / self.side
        return self.left + (column - self.column + 0.5) * pixel, self.bottom + (row - self.row + 0.5) * pixel

    def title(self, text: str, colour: Any, *, font_size: float = style.FONT_SIZE, pad: float = 4) -> None:
        """Write above the square, `pad` points away."""
        place = self.left + self.size / 2, self.bottom + self.size + pad / 72
        self.axes.text(*place, text, fontsize=font_size, color=colour, ha="center", va="baseline")

    def scale_bar(self) -> None:
        """Draw a bar of BAR_CM into the lower left corner."""
        x, y = self.left + 0.06 * self.size, self.bottom + 0.07 * self.size
        end = x + BAR_CM / PITCH_CM * self.size / self.side
        self.axes.plot([x, end], [y, y], color="white", linewidth=2.2, solid_capstyle="butt")
        words: dict[str, Any] = {"color": "white", "fontsize": 11, "ha": "left", "va": "bottom"}
        self.axes.text(x, y + 0.025 * self.size, f"{BAR_CM} cm", **words)


class PixelImage(AxesImage):
    """An image, row 0 at the bottom; in a PNG the colour of a lit pixel is found once and not for each dot."""

    def make_image(self, renderer: Any, magnification: float = 1.0, unsampled: bool = False) -> Any:
        """Return the colours of all dots, the left and the lower edge, and a transform that is not used."""
        if not isinstance(renderer, Renderer):
            return super().make_image(renderer, magnification, unsampled)
        values = np.ma.getdata(cast(Image, self.get_array()))
        lit = np.nonzero(values)
        colours = np.zeros(values.shape, dtype=np.uint32)  # four bytes: red, green, blue and alpha
        colours[lit] = self.to_rgba(values[lit], bytes=True).view(np.uint32)[:, 0]
        left, bottom, right, top = np.round(self.get_window_extent().extents).astype(int)
        rows, columns = (
            (np.arange(dots) + 0.5) * size // dots
            for dots, size in zip((top - bottom, right - left), values.shape, strict=True)
        )
        dots = colours.take(rows.astype(int), axis=0).take(columns.astype(int), axis=1)
        return dots.view(np.uint8).reshape(*dots.shape, 4), left, bottom, IdentityTransform()


def draw_pixels(
    axes: Axes, image: Image, extent: tuple[float, float, float, float], norm: Normalize, colours: Colormap
) -> None:
    """Draw an image, row 0 at the bottom, between left, right, lower and upper edge; zeros are not seen."""
    look: dict[str, Any] = {"interpolation": "nearest", "origin": "lower", "extent": extent, "zorder": 1.5}
    pixels = PixelImage(axes, cmap=colours, norm=norm, **look)
    pixels.set_data(np.ma.masked_equal(image, 0))
    axes.add_image(pixels)


def new_night(height_inches: float, width_inches: float) -> Axes:
    """Return the axes of a new dark figure, in inches; one pair for all events, as each takes as long as an event."""
    axes = style.new_figure(height_inches, width_inches, NIGHT).add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width_inches), ylim=(0, height_inches), autoscale_on=False)
    axes.set_axis_off()
    return axes


def draw_event(
    axes: Axes,
    event: Image,
    box: tuple[float, float, float],
    side: int,
    norm: Normalize,
    *,
    window_of: Image | None = None,
    colours: Colormap = COLOURS,
) -> Panel:
    """Draw the window of an event in a black square, row 0 at the bottom.

    Args:
        axes: of `new_night`.
        box: left edge, lower edge and width of the square in inches.
        side: of the window, in pixels.
        window_of: the energies of the event, where `event` holds something else; its window is drawn.
        colours: of the values other than 0; pixels of 0 stay black.
    """
    left, bottom, size = box
    row, column = _corner(event if window_of is None else window_of, side)
    shown = event[row : row + side, column : column + side]
    axes.add_artist(Rectangle((left, bottom), size, size, facecolor="#000000", edgecolor="#2a313c", linewidth=0.8))
    draw_pixels(axes, shown, (left, left + size, bottom, bottom + size), norm, colours)
    return Panel(axes, left, bottom, size, row, column, side)


def on_black(colour: str) -> tuple[float, ...]:
    """Return a colour mixed with a third of white, legible on black."""
    return tuple(0.67 * channel + 0.33 for channel in mpl.colors.to_rgb(colour))


def window_side(event: Image) -> int:
    """Return the side in pixels of the square window that an event needs, with a margin."""
    extents = (last - first for first, last in (_extent(event, 0), _extent(event, 1)))
    return max(48, round(1.12 * max(extents)) + 4)


def _extent(event: Image, axis: int) -> tuple[float, float]:
    """Return the first and last pixel along `axis` that enclose 95 % of the energy; the middle of an empty image."""
    profile = np.cumsum(event.sum(axis=1 - axis, dtype=np.float64))
    if not profile[-1]:
        return len(profile) / 2, len(profile) / 2
    first, last = np.searchsorted(profile, profile[-1] * np.array([0.5 - CONTAINED / 2, 0.5 + CONTAINED / 2]))
    return float(first), float(last)


def _corner(event: Image, side: int) -> tuple[int, int]:
    """Return the first row and column of the window with most energy; of equally good ones the most central."""
    total = np.pad(event.astype(np.float64).cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
    inside = total[side:, side:] - total[:-side, side:] - total[side:, :-side] + total[:-side, :-side]
    good = np.argwhere(inside >= 0.99 * inside.max())
    row, column = good[np.square(good - good.mean(axis=0)).sum(axis=1).argmin()]
    return int(row), int(column)
