"""The picture of the particles."""

import struct
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from cdmtrain.particles import NAMES
from cdmtrain.report.kit import style
from cdmtrain.report.kit.event_display import _corner, draw_particles


def track(length: int, size: int = 192) -> np.ndarray:
    image = np.zeros((size, size), dtype=np.float32)
    image[60, 30 : 30 + length] = np.linspace(0.6, 12.0, length)
    return image


def png_size(path: Path) -> tuple[int, int]:
    content = path.read_bytes()
    assert content.startswith(b"\x89PNG")
    return struct.unpack(">II", content[16:24])


def test_four_particles_are_four_columns_and_examples_are_rows(tmp_path: Path) -> None:
    one, two = tmp_path / "one.png", tmp_path / "two.png"
    draw_particles(one, {name: track(60) for name in NAMES})
    draw_particles(two, {name: np.stack([track(60), track(40)]) for name in NAMES})
    assert png_size(one)[0] > 3 * png_size(one)[1] / 1.5
    assert png_size(two)[0] == png_size(one)[0]
    assert png_size(two)[1] > 1.5 * png_size(one)[1]
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize("window", [None, 64, 192, 500])
def test_any_window_and_an_empty_image_are_drawn(tmp_path: Path, window: int | None) -> None:
    draw_particles(tmp_path / "a.png", {"electron": np.zeros((192, 192)), "muon": track(100)}, window=window)
    assert min(png_size(tmp_path / "a.png")) > 400


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
    linear = np.array([to_rgb(style.COLOURS[name]) for name in NAMES]) ** 2.2
    for seen in (np.eye(3), np.array(deuteranopia), np.array(protanopia)):
        colours = np.clip(linear @ seen.T, 0, 1) ** (1 / 2.2)
        distance = np.linalg.norm(colours[:, None] - colours[None], axis=2)[np.triu_indices(4, 1)]
        assert distance.min() > 0.15  # of the cube's side; the eye tells 0.03 apart side by side
    assert set(style.COLOURS) == set(style.MARKERS) == set(style.DASHES) == set(NAMES)
