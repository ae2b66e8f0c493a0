"""Settings, seeds and streams of the simulator."""

from pathlib import Path

import numpy as np
import pytest

import cdmtrain.simulation
from cdmtrain.errors import InputError
from cdmtrain.particles import NAMES
from cdmtrain.simulation import SimulatedEvents, Simulator, argon, tables
from cdmtrain.simulation.block import simulate_block


def joined(blocks: list[SimulatedEvents], name: str) -> np.ndarray:
    return np.concatenate([getattr(block, name) for block in blocks])


def test_the_same_seed_gives_the_same_events_on_any_number_of_workers() -> None:
    one = list(Simulator().blocks(events=2300, seed=3, workers=1))
    many = list(Simulator().blocks(events=2300, seed=3, workers=3))
    for name in ("offset", "pixel", "energy_mev", "pdg", "kinetic_energy_mev", "vertex_px", "direction"):
        np.testing.assert_array_equal(joined(one, name), joined(many, name))


def test_another_seed_gives_other_events() -> None:
    one, other = (next(Simulator().blocks(events=50, seed=seed)) for seed in (3, 4))
    assert not np.array_equal(one.kinetic_energy_mev, other.kinetic_energy_mev)


def test_pixels_are_unique_ascending_lit_and_inside_the_image() -> None:
    events = next(Simulator(image_size=64).blocks(events=400, seed=5))
    event = np.repeat(np.arange(400), np.diff(events.offset))
    assert (np.diff(events.offset) > 0).all()
    assert (np.diff(event * 64**2 + events.pixel.astype(int)) > 0).all()
    assert events.pixel.min() >= 0
    assert events.pixel.max() < 64**2
    assert events.energy_mev.min() >= np.float32(0.05)
    assert ((events.vertex_px >= 0) & (events.vertex_px < 64)).all()
    np.testing.assert_allclose(np.linalg.norm(events.direction, axis=1), 1, rtol=1e-5)


def test_the_muon_track_leaves_the_vertex_along_its_direction() -> None:
    mix = {name: float(name == "muon") for name in NAMES}
    events = next(Simulator(class_mix=mix, cos_theta=[-0.1, 0.1]).blocks(events=100, seed=6))
    cosines = []
    for event in range(100):
        own = slice(events.offset[event], events.offset[event + 1])
        place = np.stack(np.divmod(events.pixel[own], 192), axis=1) - events.vertex_px[event]
        near = np.linalg.norm(place, axis=1) < 25
        mean = place[near].mean(axis=0)
        cosines.append(mean @ events.direction[event, :2] / np.linalg.norm(mean))
    assert np.median(cosines) > 0.97


def test_the_projection_axis_points_away_from_the_image() -> None:
    along = {axis: next(Simulator(cos_theta=[1, 1], projection_axis=axis).blocks(events=8, seed=7)) for axis in "xyz"}
    np.testing.assert_allclose(along["z"].direction, [[0, 0, 1]] * 8, atol=1e-6)
    np.testing.assert_allclose(along["x"].direction, [[0, 1, 0]] * 8, atol=1e-6)
    np.testing.assert_allclose(along["y"].direction, [[0, 1, 0]] * 8, atol=1e-6)


def test_noise_and_diffusion_light_more_pixels() -> None:
    plain = next(Simulator().blocks(events=100, seed=8))
    noisy = next(Simulator(diffusion_cm=0.15, noise_mev=0.05, pixel_threshold_mev=0.18).blocks(events=100, seed=8))
    assert len(noisy.pixel) > 1.2 * len(plain.pixel)
    assert noisy.energy_mev.min() > 0.18


def test_the_class_mix_is_kept_and_may_leave_a_class_out() -> None:
    mix = {"electron": 3, "muon": 0, "photon": 1, "proton": 0}
    events = next(Simulator(class_mix=mix).blocks(events=400, seed=9))
    assert [np.count_nonzero(events.pdg == code) for code in (11, 13, 22, 2212)] == [300, 0, 100, 0]


@pytest.mark.parametrize(
    ("name", "spectrum", "mean_mev"),
    [
        ("electron", "flat_kinetic_energy", 75),
        ("proton", "flat_kinetic_energy", 200),
        ("proton", "flat_momentum", 198.4),
    ],
)
def test_energies_are_flat_in_what_is_chosen(name: str, spectrum: str, mean_mev: float) -> None:
    mix = {other: float(other == name) for other in NAMES}
    energies = {other: [150, 250] if other == "proton" else [50, 100] for other in NAMES}
    settings = {"class_mix": mix, "kinetic_energy_mev": energies, "energy_spectrum": spectrum}
    events = next(Simulator(**settings).blocks(events=1000, seed=1))
    assert events.kinetic_energy_mev.mean() == pytest.approx(mean_mev, abs=3)  # spread of the mean 0.9


def test_a_smaller_pitch_lights_more_pixels_and_a_higher_threshold_fewer() -> None:
    lit = [
        len(next(Simulator(**settings).blocks(events=100, seed=2)).pixel)
        for settings in ({}, {"pixel_cm": 0.15, "image_size": 384}, {"voxel_threshold_mev": 0.5})
    ]
    assert lit[1] > 1.5 * lit[0] > 1.5 * 1.5 * lit[2]


def test_azimuth_and_cosine_stay_in_their_ranges() -> None:
    events = next(Simulator(cos_theta=[0.2, 0.4], azimuth_deg=[10, 20]).blocks(events=100, seed=3))
    assert ((events.direction[:, 2] >= 0.2) & (events.direction[:, 2] <= 0.4)).all()
    azimuth = np.degrees(np.arctan2(events.direction[:, 1], events.direction[:, 0]))
    assert ((azimuth >= 10) & (azimuth <= 20)).all()


def test_photons_under_the_setting_only_scatter() -> None:
    nature, setting = (tables.charged_and_photon_tables(True, softest)[argon.PHOTON] for softest in (0.0, 0.03))
    absorbed = tables.energy_grid() >= 0.03
    assert not setting[~absorbed, tables.PHOTOELECTRIC_RATE].any()
    np.testing.assert_array_equal(
        setting[absorbed, tables.PHOTOELECTRIC_RATE], nature[absorbed, tables.PHOTOELECTRIC_RATE]
    )
    np.testing.assert_array_equal(setting[:, tables.COMPTON_RATE], nature[:, tables.COMPTON_RATE])


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"kinetic_energy_mev": {"electron": [50, 100]}}, "one entry for each of electron, muon, photon, proton"),
        ({"voxel_threshold_mev": -1}, "a number from 0 to 100"),
        ({"energy_spectrum": "steep"}, "flat_momentum, flat_kinetic_energy"),
        ({"projection_axis": "w"}, "x, y, z"),
        ({"cos_theta": [1, -1]}, "the lowest comes first"),
        ({"class_mix": dict.fromkeys(NAMES, 0)}, "weight above 0"),
        ({"noise_mev": 0.1}, "pixel_threshold_mev"),
        ({"image_size": 192.5}, "whole number"),
        ({"proton_reactions": "no"}, "true or false"),
    ],
)
def test_a_wrong_setting_is_answered_with_what_is_allowed(settings: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        Simulator(**settings)


def test_settings_rebuild_the_same_simulator() -> None:
    settings = Simulator(image_size=96, projection_axis="x").settings()
    assert settings.pop("version") >= 1
    assert Simulator(**settings).settings() == Simulator(image_size=96, projection_axis="x").settings()


def test_compiled_kernels_are_kept_outside_the_program() -> None:
    """pip leaves files it does not know behind, and what is left of a package shadows its next, editable install."""
    program = Path(cdmtrain.simulation.__file__).parent
    assert program not in Path(str(simulate_block.stats.cache_path)).parents
