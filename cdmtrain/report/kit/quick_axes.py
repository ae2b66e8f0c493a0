"""Axes that draw their ticks without objects for each of them: a page with 19 figures has 250 ticks.

A tick of matplotlib is three lines and two texts. Here an axis draws one path for its grid, one for its ticks, and one
text at every place. The picture is the same. Matplotlib draws the axis itself in other formats and in notebooks, and
where its ticks are not plain: a tick was touched, there are small ticks, or `tick_params` has set other properties.
"""

from functools import cache
from typing import Any, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis, XAxis, YAxis
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


class QuickAxis(Axis):
    """What the two axes have in common."""

    index: int  # 0 for x, 1 for y
    sides: tuple[str, str]  # where ticks may be

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
        ticks = self._ticks(look) if look else None
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

    def _draw_plain(self, renderer: Renderer, look: dict[str, Any], number: Text, places: Floats, labels: list) -> None:
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
            for place, label in zip(places, labels, strict=True):
                number.set_text(label)
                (number.set_x, number.set_y)[self.index](place)
                number.draw(renderer)
                if self.label.get_text():
                    extent = number.get_window_extent(renderer).get_points()[:, 1 - self.index]
                    outside = furthest(outside, *extent)
        outside += away * renderer.points_to_pixels(self.labelpad)
        (self.label.set_y, self.label.set_x)[self.index](outside)
        self.label.draw(renderer)

    def _ticks(self, look: dict[str, Any]) -> tuple[Text, Floats, list[str]]:
        """Return the text that is drawn at every tick, where in pixels along the axis they stand, and their numbers."""
        values = np.asarray(self.get_majorticklocs(), dtype=np.float64)
        labels = self.get_major_formatter().format_ticks(values.tolist())
        pad = look["pad"] + look["length"]
        name = f"get_{'xy'[self.index]}axis_text{1 if look['is_first'] else 2}_transform"
        transform, vertical, horizontal = getattr(self.axes, name)(pad)
        points = np.full((len(values), 2), 0.0 if look["is_first"] else 1.0)
        points[:, self.index] = values
        points = transform.transform(points)
        low, high = self.axes.bbox.get_points()[:, self.index]
        places = points[:, self.index]
        inside = np.flatnonzero((places > low - 1e-3) & (places < high + 1e-3))
        look_of_text = {"fontsize": look["labelsize"], "color": look["labelcolor"], "ha": horizontal, "va": vertical}
        number = Text(*(points[0] if len(points) else (0, 0)), **look_of_text, figure=self.axes.figure)
        return number, places[inside], [labels[index] for index in inside]

    def _across(self, places: Floats, low: float, high: float) -> Path:
        """Return a line across the axis at every place, in pixels."""
        ends = np.empty((len(places), 2, 2))
        ends[..., self.index] = places[:, None]
        ends[..., 1 - self.index] = low, high
        return Path(ends.reshape(-1, 2), np.tile([Path.MOVETO, Path.LINETO], len(places)))


class QuickXAxis(QuickAxis, XAxis):
    """The horizontal axis."""

    index, sides = 0, ("bottom", "top")


class QuickYAxis(QuickAxis, YAxis):
    """The vertical axis."""

    index, sides = 1, ("left", "right")


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
