import io
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from cdmtrain.report.kit.png import png_bytes


def test_a_picture_has_the_pixels_and_the_resolution_that_matplotlib_writes() -> None:
    figure = Figure(figsize=(1.3, 0.7), dpi=90, facecolor="#0d1117")
    axes = figure.add_axes((0.1, 0.2, 0.8, 0.7), xticks=[], yticks=[])
    axes.plot([0, 1, 0.5])
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    expected, found = Image.open(buffer), Image.open(io.BytesIO(png_bytes(figure)))
    assert found.mode == expected.mode
    np.testing.assert_array_equal(np.asarray(found), np.asarray(expected))
    assert found.info["dpi"] == expected.info["dpi"]


@pytest.mark.parametrize("angle", [0, 30, 90])
@pytest.mark.parametrize("words", ["Energy (MeV)", r"$e^-$ → $\gamma$", "two\nlines"])
def test_a_text_stands_where_matplotlib_writes_it(words: str, angle: int) -> None:
    figure = Figure(figsize=(1.5, 1.5), dpi=90)
    figure.text(0.503, 0.507, words, rotation=angle, color="#000080", alpha=0.9, ha="center", va="center")
    found = [Image.open(io.BytesIO(png_bytes(figure))) for _ in range(2)]  # made, and remembered
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    expected, first, second = (
        255 - np.asarray(one, dtype=float)[..., :3].mean(axis=-1) for one in (Image.open(buffer), *found)
    )
    np.testing.assert_array_equal(first, second)
    assert first.sum() == pytest.approx(expected.sum(), rel=0.02)
    for axis in (0, 1):
        along = np.arange(expected.shape[axis])
        centre, wanted = (image.sum(axis=1 - axis) @ along / image.sum() for image in (first, expected))
        assert centre == pytest.approx(wanted, abs=0.6)  # a whole pixel is at most half of one away


def test_the_same_figure_gives_the_same_bytes() -> None:
    figure = Figure(figsize=(1, 1))
    assert png_bytes(figure) == png_bytes(figure)


def line(height: float) -> Figure:
    figure = Figure(figsize=(1.3, height), dpi=90)
    figure.add_axes((0.3, 0.3, 0.6, 0.6)).plot([0, 1, height])
    return figure


def test_figures_drawn_at_once_in_threads_are_those_drawn_one_by_one() -> None:
    heights = [0.7, 0.9] * 6
    alone = [png_bytes(line(height)) for height in heights]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda height: png_bytes(line(height)), heights)) == alone


def test_figures_of_one_size_share_their_renderer() -> None:
    figures = [line(0.8), line(0.8), line(1.1)]
    for figure in figures:
        png_bytes(figure)
    first, second, taller = (figure.canvas.get_renderer() for figure in figures)
    assert first is second is not taller
