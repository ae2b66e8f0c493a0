import io
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from cdmtrain.report.kit.png import png_bytes


def test_a_picture_has_the_pixels_and_the_resolution_that_matplotlib_writes() -> None:
    figure = Figure(figsize=(1.3, 0.7), dpi=90, facecolor="#0d1117")
    figure.add_axes((0.1, 0.2, 0.8, 0.7)).plot([0, 1, 0.5])
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    expected, found = Image.open(buffer), Image.open(io.BytesIO(png_bytes(figure)))
    assert found.mode == expected.mode
    np.testing.assert_array_equal(np.asarray(found), np.asarray(expected))
    assert found.info["dpi"] == expected.info["dpi"]


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
