"""Figures are written in the formats and the style that are asked for."""

from pathlib import Path

import numpy as np
import pytest

from cdmtrain.errors import InputError
from cdmtrain.report.kit import style
from cdmtrain.report.kit.formats import drawn_as
from cdmtrain.report.kit.page import Drawing


def draw() -> Drawing:
    figure, axes = style.new_plot("x", "y")
    axes.plot([0, 1], [0, 1])
    return Drawing("line", "A line", "A caption.", "A line.", figure, [["x"], [0]])


def test_a_figure_is_written_in_every_format_with_the_same_bytes_each_time(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        with drawn_as(["pdf", "svg"], None):
            assert "data:image/png" in draw().write(tmp_path / folder)
    assert {path.name for path in (tmp_path / "a").iterdir()} == {"line.csv", "line.pdf", "line.svg"}
    assert (tmp_path / "a/line.pdf").read_bytes().startswith(b"%PDF")
    for name in ("line.pdf", "line.svg"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    draw().write(tmp_path / "c")
    assert {path.name for path in (tmp_path / "c").iterdir()} == {"line.csv", "line.png"}


def test_a_style_of_matplotlib_decides_the_colours_and_is_left_behind() -> None:
    usual = draw().figure.axes[0].get_facecolor()
    with drawn_as(["png"], "dark_background"):
        dark = draw().figure
        np.testing.assert_array_equal(dark.get_facecolor(), [0, 0, 0, 1])
        np.testing.assert_array_equal(dark.axes[0].get_facecolor(), [0, 0, 0, 1])
    assert draw().figure.axes[0].get_facecolor() == usual


@pytest.mark.parametrize(
    ("formats", "name", "sentence"),
    [
        (["gif"], None, r"report.format=\['gif'\]: one or several of png, pdf, svg are expected"),
        ([], None, "one or several of png, pdf, svg"),
        (["png"], "ggplt", "report.style=ggplt is not a style of matplotlib; choose one, such as ggplot"),
    ],
)
def test_an_unknown_format_or_style_is_said_in_a_sentence(formats: list[str], name: str | None, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence), drawn_as(formats, name):
        pass
