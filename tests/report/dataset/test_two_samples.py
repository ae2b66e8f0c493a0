"""Features of images on events drawn by hand, and trees that tell two samples apart only where they differ."""

import numpy as np
import pytest
from rich.console import Console

from cdmtrain.particles import DEFAULT
from cdmtrain.report.dataset.features import FEATURES, SPECTRUM, image_features
from cdmtrain.report.dataset.measure import Sample
from cdmtrain.report.dataset.two_samples import feature_rows, separation_table, separations

SIZE = 64


def of(*pixels: tuple[int, int, float]) -> dict[str, float]:
    """The features of one event with these lit pixels: row, column, MeV."""
    position = np.array([row * SIZE + column for row, column, _ in pixels])
    order = np.argsort(position)
    energy = np.array([value for *_, value in pixels], np.float32)[order]
    offset = np.array([0, len(pixels)])
    return dict(zip(FEATURES, image_features(offset, position[order], energy, image_size=SIZE)[0], strict=True))


TRACK = [(10, column, 0.5) for column in range(10, 40)] + [(10, 40, 8.0)]
BLIPS = [(30, 20, 0.2), (60, 20, 1.5), (61, 21, 0.5)]


def test_a_track_with_blips_has_the_features_one_can_count() -> None:
    found = of(*TRACK, *BLIPS)
    expected = {
        "lit_pixels": 34, "sum_mev": 25.2, "brightest_mev": 8, "second_mev": 1.5, "clusters": 3, "isolated_pixels": 1,
        "isolated_mev": 0.2, "largest_blip_pixels": 2, "brightest_blip_mev": 2, "median_blip_mev": 1.1,
        "bright_blips": 1, "farthest_blip_px": 50, "nearest_blip_px": 20, "middle_blips": 1, "far_blips": 1,
        "near_blips": 0, "box_long_px": 52, "box_short_px": 31, "border_pixels": 0, "track_pixels": 31, "track_mev": 23,
        "track_length_px": 31, "track_rms_px": 0, "largest_kink": 0, "bright_end_2_px_mev": 8.5,
        "faint_end_5_px_mev": 2.5, "bright_end_brightest_from_end_px": 0, "pixels_with_0_neighbours": 1,
        "pixels_with_1_neighbours": 4, "pixels_with_2_neighbours": 29, "pixels_below_0.22_mev": 1,
    }  # fmt: skip
    assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-4)


def test_the_pixel_spectrum_counts_every_lit_pixel_once() -> None:
    found = of(*TRACK, *BLIPS, (3, 3, 0.051), (3, 5, 30.0))
    assert sum(found[name] for name in SPECTRUM) == found["lit_pixels"] == 36
    assert found["pixels_below_0.055_mev"] == found["pixels_above_20_mev"] == 1


def test_a_bent_track_has_a_kink_and_a_straight_one_has_none() -> None:
    straight = [(8, column, 1.0) for column in range(2, 27)]
    bent = straight + [(8 + n, 26 + n, 1.0) for n in range(1, 24)]
    assert 0.4 < of(*bent)["largest_kink"] < np.pi / 4  # the slice with the corner takes part of the angle
    assert of(*straight)["largest_kink"] < 1e-6


def test_features_do_not_change_when_the_image_is_turned() -> None:
    rng = np.random.default_rng(4)
    pixels = [(row, column, float(rng.gamma(2))) for row, column in rng.integers(0, SIZE, (40, 2))]
    pixels = list({pixel[:2]: pixel for pixel in pixels}.values())
    turned = [(column, SIZE - 1 - row, energy) for row, column, energy in pixels]
    one, other = of(*pixels), of(*turned)
    for name in FEATURES:
        if (
            "end" not in name and "kink" not in name and name != "asymmetry" and name != "bend_px"
        ):  # of a shapeless event
            assert one[name] == pytest.approx(other[name], rel=1e-4, abs=1e-4), name


def test_an_event_without_a_lit_pixel_has_features_of_zero() -> None:
    features = image_features(np.array([0, 0, 1]), np.array([7]), np.array([0.0]), image_size=SIZE)
    assert features.shape == (2, len(FEATURES))
    assert not features.any()
    assert len(FEATURES) == len(set(FEATURES)) >= 60


def two_samples(*, shift: float, num_events: int = 600) -> tuple[list[Sample], list[np.ndarray]]:
    """Two samples of electrons and muons; one feature of the first sample's muons is shifted by so many sigmas."""
    rng = np.random.default_rng(1)
    class_index = np.tile([0, 1], num_events // 2)
    features = [rng.normal(size=(num_events, len(FEATURES))).astype(np.float32) for _ in range(2)]
    features[0][class_index == 1, FEATURES.index("sum_mev")] += shift
    empty = np.zeros((5, 1))
    return [Sample(title, SIZE, DEFAULT, class_index, {}, empty, empty, []) for title in ("a.h5", "b.h5")], features


def test_trees_separate_the_class_that_differs_and_not_the_other() -> None:
    samples, features = two_samples(shift=2.0)
    found = separations(samples, features)
    assert list(found) == ["electron", "muon"]
    assert found["muon"].area.low > 0.85  # two unit Gaussians, two sigmas apart: 0.92
    assert abs(found["electron"].area.value - 0.5) < 0.1  # 300 against 300 events: sigma 0.024
    assert found["muon"].telling.startswith("sum_mev 0.")


def test_the_area_stands_in_a_table_with_its_error_and_every_feature_in_a_file() -> None:
    samples, features = two_samples(shift=2.0, num_events=200)
    found = separations(samples, features)
    console = Console(width=80, record=True, file=None)
    with console.capture() as captured:
        console.print(separation_table(found, "b.h5").terminal())
    assert "Boosted trees: b.h5" in captured.get()
    assert f"{found['muon'].area.value:.3f} ± 0.0" in captured.get()
    rows = feature_rows(found)
    assert len(rows) == 1 + 2 * len(FEATURES)
    assert rows[1][:2] == ["electron", FEATURES[0]]
