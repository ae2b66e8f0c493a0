"""The picture of the particles."""

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import Normalize, to_rgb

from cdmtrain.particles import NAMES
from cdmtrain.report.kit import style
from cdmtrain.report.kit.event_display import _corner, draw_event, new_night, particles_figure


def track(length: int, size: int = 192) -> np.ndarray:
    image = np.zeros((size, size), dtype=np.float32)
    image[60, 30 : 30 + length] = np.linspace(0.6, 12.0, length)
    return image


def test_four_particles_are_four_columns_and_examples_are_rows() -> None:
    one = particles_figure({name: track(60) for name in NAMES}).get_size_inches()
    two = particles_figure({name: np.stack([track(60), track(40)]) for name in NAMES}).get_size_inches()
    assert one[0] > 2 * one[1]
    assert two[0] == one[0]
    assert two[1] > 1.5 * one[1]


@pytest.mark.parametrize(("window", "side"), [(None, 62), (64, 64), (192, 192), (500, 192)])
def test_every_panel_shows_a_window_of_the_same_side_even_of_an_empty_image(window: int | None, side: int) -> None:
    figure = particles_figure({"electron": np.zeros((192, 192)), "muon": track(60)}, window=window)
    assert [image.get_array().shape for image in figure.axes[0].images] == [(side, side)] * 2


def test_a_pixel_is_drawn_where_the_panel_says() -> None:
    image = np.zeros((60, 60))
    image[7, 11] = 1
    night = new_night(3, 4)
    panel = draw_event(night, image, (1, 0.5, 2), 48, Normalize(0, 1))
    canvas = FigureCanvasAgg(night.figure)
    canvas.draw()
    brightness = np.asarray(canvas.buffer_rgba())[::-1, :, :3].sum(axis=2, dtype=int)
    lit = np.argwhere(brightness > 500)
    np.testing.assert_allclose(lit.mean(axis=0)[::-1] / style.DPI, panel.inches(11, 7), atol=1 / style.DPI)


def test_the_window_lies_inside_the_image_and_around_the_track() -> None:
    row, column = _corner(track(40), 64)
    assert 0 <= row <= 60 < row + 64 <= 192
    assert 0 <= column <= 30
    assert 70 <= column + 64 <= 192


def test_a_lone_cluster_far_away_does_not_pull_the_window_off_the_track() -> None:
    image = track(60)
    image[190, 190] = 3.0
    row, column = _corner(image, 64)
    assert row <= 60 < row + 64
    assert column <= 31


def test_each_particle_has_its_own_colour_for_every_colour_vision() -> None:
    # Machado, Oliveira and Fernandes, IEEE TVCG 15 (2009) 1291: full deuteranopia and protanopia, on linear RGB
    deuteranopia = [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    protanopia = [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    linear = np.array([to_rgb(line.colour) for line in style.line_styles(NAMES).values()]) ** 2.2
    for seen in (np.eye(3), np.array(deuteranopia), np.array(protanopia)):
        colours = np.clip(linear @ seen.T, 0, 1) ** (1 / 2.2)
        distance = np.linalg.norm(colours[:, None] - colours[None], axis=2)[np.triu_indices(4, 1)]
        assert distance.min() > 0.15  # of the cube's side; the eye tells 0.03 apart side by side
    assert list(style.line_styles(NAMES)) == list(NAMES)
    assert (
        len({line.marker for line in style.line_styles(NAMES).values()})
        == len({line.dash for line in style.line_styles(NAMES).values()})
        == 4
    )
