"""Axes that draw their ticks without objects for each of them: a page with 19 figures has 250 ticks.

A tick of matplotlib is three lines and two texts. Here an axis draws one path for its grid, one for its ticks, and one
text at every place. The picture is the same. Matplotlib draws the axis itself in other formats and in notebooks, and
where its ticks are not plain: a tick was touched, there are small ticks, or `tick_params` has set other properties.
"""

from functools import cache, lru_cache
from typing import Any, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis, XAxis, YAxis
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.legend import Legend
from matplotlib.offsetbox import OffsetBox
from matplotlib.path import Path
from matplotlib.text import Text
from matplotlib.ticker import NullLocator
from matplotlib.transforms import IdentityTransform
from numpy.typing import NDArray

from cdmtrain.report.kit.png import Renderer

Floats = NDArray[np.float64]
LOOK: Final = {"length", "width", "color", "pad", "labelsize", "labelcolor", "gridOn"}
GRID: Final = {"grid_color", "grid_linewidth"}
TICK_LISTS: Final = ("majorTicks", "minorTicks")  # of an axis; matplotlib makes each when it is first looked at


class Number(Renderer):
    """What matplotlib writes at a tick, relative to its place; it is found by letting it be written here."""

    def __init__(self, label: str, size: float, alignment: tuple[Any, Any], dpi: float) -> None:
        super().__init__(1, 1, dpi)
        self.written: list[tuple[float, float, str, FontProperties, Any]] = []
        text = Text(0, 0, label, fontsize=size, ha=alignment[0], va=alignment[1], figure=Figure(dpi=dpi))
        text.draw(self)
        self.extent = text.get_window_extent(self).get_points()

    def draw_text(
        self, gc: Any, x: float, y: float, s: str, prop: Any, angle: float, ismath: Any = False, mtext: Any = None
    ) -> None:
        """Note where a line of the text begins."""
        self.written.append((x, self.height - y, s, prop, ismath))

    def draw(self, renderer: Renderer, gc: Any, x: float, y: float) -> None:
        """Write it at a place, in pixels from the lower left corner."""
        for right, up, text, prop, ismath in self.written:
            renderer.draw_text(gc, x + right, renderer.height - y - up, text, prop, 0, ismath)


number_at = lru_cache(maxsize=512)(Number)


class QuickAxis(Axis):
    """What the two axes have in common."""

    index: int  # 0 for x, 1 for y
    sides: tuple[str, str]  # where ticks may be
    alignments: tuple[tuple[Any, Any], tuple[Any, Any]]  # of the numbers on the second side, and on the first

    @property
    def has_ticks(self) -> bool:
        """Whether there are objects of ticks, which may differ from each other."""
        return any(name in vars(self) for name in TICK_LISTS)

    def set_tick_params(self, which: Any = "major", reset: bool = False, **kwargs: Any) -> None:
        """Set properties of all ticks; none is made for it."""
        is_new = not self.has_ticks
        if is_new:
            vars(self).update({name: [] for name in TICK_LISTS})
        super().set_tick_params(which, reset, **kwargs)
        if is_new:
            for name in TICK_LISTS:
                vars(self).pop(name, None)

    def set_clip_path(self, path: Any, transform: Any = None) -> None:
        """Set what the axis and its ticks, if there are any, are clipped to."""
        if self.has_ticks:
            super().set_clip_path(path, transform)
        else:
            super(Axis, self).set_clip_path(path, transform)

    def draw(self, renderer: Any) -> None:
        """Draw grid, ticks, numbers and the label."""
        look = self._plain_look() if isinstance(renderer, Renderer) and self.get_visible() else {}
        ticks = self._ticks() if look else None
        if ticks is None or self.get_major_formatter().get_offset():
            super().draw(renderer)
        else:
            self._draw_plain(renderer, look, *ticks)

    def _plain_look(self) -> dict[str, Any]:
        """Return the properties of all ticks; empty where `_draw_plain` would leave something out."""
        first, second = self.sides
        look = self.get_tick_params()
        has_small = not isinstance(self.get_minor_locator(), NullLocator)
        drawn = {*LOOK, *(GRID if look["gridOn"] else ()), first, second, f"label{first}", f"label{second}"}
        if self.has_ticks or has_small or look.keys() != drawn:
            return {}
        side = self.get_label_position()
        other = second if side == first else first
        if look[other] or look[f"label{other}"]:
            return {}
        return {**look, "is_first": side == first, "ticks": look[side], "numbers": look[f"label{side}"]}

    def _draw_plain(self, renderer: Renderer, look: dict[str, Any], places: Floats, labels: list[str]) -> None:
        low, high = self.axes.bbox.get_points()[:, 1 - self.index]
        edge, away, furthest = (low, -1, min) if look["is_first"] else (high, 1, max)
        outside = edge + away * renderer.points_to_pixels(look["length"])
        if look["gridOn"]:
            gc = _pen(renderer, look["grid_color"], look["grid_linewidth"])
            gc.set_capstyle("projecting")
            gc.set_clip_rectangle(self.axes.bbox)
            renderer.draw_path(gc, self._across(places, low, high), IdentityTransform())
        if look["ticks"]:
            gc = _pen(renderer, look["color"], look["width"])
            renderer.draw_path(gc, self._across(places, edge, outside), IdentityTransform())
        if look["numbers"]:
            gc = _pen(renderer, look["labelcolor"], 1)
            beside = outside + away * renderer.points_to_pixels(look["pad"])
            for place, label in zip(places, labels, strict=True):
                number = number_at(label, look["labelsize"], self.alignments[look["is_first"]], renderer.dpi)
                number.draw(renderer, gc, *((place, beside), (beside, place))[self.index])
                outside = furthest(outside, *(beside + number.extent[:, 1 - self.index]))
        outside += away * renderer.points_to_pixels(self.labelpad)
        (self.label.set_y, self.label.set_x)[self.index](outside)
        self.label.draw(renderer)

    def _ticks(self) -> tuple[Floats, list[str]]:
        """Return where in pixels along the axis its ticks stand, and their numbers."""
        values = np.asarray(self.get_majorticklocs(), dtype=np.float64)
        labels = self.get_major_formatter().format_ticks(values.tolist())
        points = np.zeros((len(values), 2))
        points[:, self.index] = values
        to_pixels = (self.axes.get_xaxis_transform, self.axes.get_yaxis_transform)[self.index]("grid")
        places = to_pixels.transform(points)[:, self.index]
        low, high = self.axes.bbox.get_points()[:, self.index]
        inside = np.flatnonzero((places > low - 1e-3) & (places < high + 1e-3))
        return places[inside], [labels[index] for index in inside]

    def _across(self, places: Floats, low: float, high: float) -> Path:
        """Return a line across the axis at every place, in pixels."""
        ends = np.empty((len(places), 2, 2))
        ends[..., self.index] = places[:, None]
        ends[..., 1 - self.index] = low, high
        return Path(ends.reshape(-1, 2), np.tile([Path.MOVETO, Path.LINETO], len(places)))


class QuickXAxis(QuickAxis, XAxis):
    """The horizontal axis."""

    index, sides, alignments = 0, ("bottom", "top"), (("center", "bottom"), ("center", "top"))


class QuickYAxis(QuickAxis, YAxis):
    """The vertical axis."""

    index, sides, alignments = 1, ("left", "right"), (("left", "center_baseline"), ("right", "center_baseline"))


class QuickAxes(Axes):
    """Axes whose two axes are quick."""

    def clear(self) -> None:
        """Remove everything; matplotlib does so too when axes are made, before it looks at their ticks."""
        self.xaxis.__class__, self.yaxis.__class__ = QuickXAxis, QuickYAxis
        super().clear()

    def draw(self, renderer: Any) -> None:
        """Draw everything; an edge gets its place, which matplotlib gives it when it makes the first tick."""
        for spine in self.spines.values():
            spine.get_position()
        super().draw(renderer)


class QuickLegend(Legend):
    """A legend that measures each of its boxes once; matplotlib measures the inner ones again for every box around."""

    def draw(self, renderer: Any) -> None:
        """Draw the legend."""
        boxes = self.findobj(OffsetBox)
        for box in boxes:
            vars(box)["get_bbox"] = cache(box.get_bbox)
        super().draw(renderer)
        for box in boxes:
            del vars(box)["get_bbox"]


def quick(legend: Legend) -> Legend:
    """Make a legend quick."""
    legend.__class__ = QuickLegend
    return legend


def _pen(renderer: Renderer, colour: Any, points: float) -> Any:
    gc = renderer.new_gc()
    gc.set_foreground(colour)
    gc.set_linewidth(points)
    return gc
