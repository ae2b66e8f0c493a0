"""Quick axes, legends and images are drawn as matplotlib draws its own."""

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator
from PIL import Image

from cdmtrain.report.kit import event_display, style
from cdmtrain.report.kit.png import png_bytes
from cdmtrain.report.kit.quick_axes import QuickAxes, quick


def curve(axes: Axes) -> None:
    axes.plot([0, 1, 2], [0.1, 3, 17])


def logarithmic(axes: Axes) -> None:
    curve(axes)
    axes.set(yscale="log", ylim=(0.1, 100))
    axes.yaxis.set_minor_locator(NullLocator())


def without_numbers(axes: Axes) -> None:
    curve(axes)
    axes.tick_params(labelbottom=False)


def names_above(axes: Axes) -> None:
    axes.set(xlim=(-0.5, 1.5), ylim=(1.5, -0.5))
    axes.xaxis.set_major_locator(FixedLocator([0, 1]))
    axes.xaxis.set_major_formatter(FixedFormatter(["electron", "$e^-$"]))
    axes.xaxis.tick_top()
    axes.xaxis.set_label_position("top")
    axes.spines[:].set_visible(True)


def small_ticks(axes: Axes) -> None:
    axes.plot([0, 1], [1, 1000])
    axes.set_yscale("log")


def turned_numbers(axes: Axes) -> None:
    axes.set_xticks([0, 1], ["electron", "muon"], rotation=45)


def large_numbers(axes: Axes) -> None:
    axes.plot([0, 1], [1e9, 2e9])  # 1e9 stands above the axis


def pixels(figure: Figure) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png_bytes(figure))).convert("RGB"), dtype=int)


def num_different(figure: Figure, other: Figure) -> int:
    """Return the pixels that differ by more than the rim of a line does; a missing digit has a hundred."""
    return int((np.abs(pixels(figure) - pixels(other)).max(axis=-1) > 40).sum())


def drawn(kind: type[Axes], draw: Callable[[Axes], None]) -> tuple[Figure, Axes]:
    figure = style.new_figure(2.5, 3)
    axes = figure.add_axes((0.25, 0.25, 0.6, 0.6), axes_class=kind)
    axes.set(xlabel="epoch", ylabel="loss")
    style.dress(axes)
    draw(axes)
    return figure, axes


@pytest.mark.parametrize(
    ("draw", "is_quick"),
    [
        *((one, (True, True)) for one in (curve, logarithmic, without_numbers, names_above)),
        *((one, (True, False)) for one in (small_ticks, large_numbers)),
        (turned_numbers, (False, True)),
    ],
)
def test_a_quick_axis_looks_like_matplotlibs(draw: Callable[[Axes], None], is_quick: tuple[bool, bool]) -> None:
    figure, axes = drawn(QuickAxes, draw)
    assert num_different(figure, drawn(Axes, draw)[0]) < 30
    assert tuple("majorTicks" not in vars(axis) for axis in (axes.xaxis, axes.yaxis)) == is_quick


def test_panels_that_share_their_axes_look_like_matplotlibs() -> None:
    def panels(kind: type[Axes]) -> Figure:
        figure = style.new_figure(2.5, 3)
        for axes in figure.subplots(2, 2, sharex=True, sharey=True, subplot_kw={"axes_class": kind}).ravel():
            style.dress(axes)
            curve(axes)
        return figure

    assert num_different(panels(QuickAxes), panels(Axes)) < 30


def test_a_user_can_change_the_ticks_of_a_quick_axis() -> None:
    def red(axes: Axes) -> None:
        curve(axes)
        axes.get_xticklabels()[1].set_color("red")

    assert num_different(drawn(QuickAxes, red)[0], drawn(Axes, red)[0]) < 30
    assert num_different(drawn(QuickAxes, red)[0], drawn(Axes, curve)[0]) > 100


def test_a_quick_legend_looks_like_matplotlibs() -> None:
    def with_legend(change: Callable[[Any], Any]) -> Figure:
        figure, axes = drawn(QuickAxes, curve)
        axes.plot([2, 1, 0], label="a long name")
        change(axes.legend(title="lines"))
        return figure

    np.testing.assert_array_equal(pixels(with_legend(quick)), pixels(with_legend(lambda legend: legend)))


@pytest.mark.parametrize("side", [0.8, 0.765], ids=["whole dots", "parts of dots"])
def test_an_image_of_an_event_looks_like_matplotlibs(side: float) -> None:
    image = np.random.default_rng(1).poisson(0.3, (40, 40)) / 4
    extent, norm = (0.1, 0.1 + side, 0.15, 0.15 + side), Normalize(0, 1)
    figures = [style.new_figure(1, 1, event_display.NIGHT) for _ in range(2)]
    ours, theirs = (figure.add_axes((0, 0, 1, 1), xlim=(0, 1), ylim=(0, 1)) for figure in figures)
    event_display.draw_pixels(ours, image, extent, norm, event_display.COLOURS)
    look: dict[str, Any] = {"origin": "lower", "aspect": "auto", "interpolation": "nearest"}
    theirs.imshow(np.ma.masked_equal(image, 0), event_display.COLOURS, norm, extent=extent, **look)
    theirs.set(xlim=(0, 1), ylim=(0, 1))
    assert num_different(*figures) < 100  # of 24 000: at a rim between two pixels either may be drawn
