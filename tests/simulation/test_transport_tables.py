"""Losses, ranges and mean free paths against published figures (PDG tables; NIST XCOM) for liquid argon."""

import numpy as np
import pytest

from cdmtrain.simulation import argon, ionisation, photons, tables
from cdmtrain.simulation.argon import ELECTRON, MUON, PROTON

# kinetic energy MeV, dE/dx MeV/cm, range cm
PUBLISHED = {
    MUON: (
        (5, 13.3, 0.21), (10, 7.91, 0.72), (20, 4.88, 2.40), (50, 2.94, 10.85), (100, 2.33, 30.5),
        (150, 2.17, 52.9), (200, 2.12, 76.3), (300, 2.10, 123.8), (1000, 2.29, 442),
    ),
    PROTON: (
        (5, 71.5, 0.041), (10, 42.7, 0.135), (20, 25.0, 0.455), (50, 12.2, 2.31), (100, 7.27, 7.85),
        (150, 5.47, 15.9), (200, 4.53, 26.0), (300, 3.57, 51.2), (1000, 2.28, 319),
    ),
    ELECTRON: (
        (5, 2.28, 2.33), (10, 2.67, 4.35), (20, 3.38, 7.67), (50, 5.47, 14.6), (100, 8.98, 21.6),
        (150, 12.5, 26.3), (200, 16.1, 29.9), (300, 23.2, 35.0), (1000, 73.7, 51.0),
    ),
}  # fmt: skip
# energy MeV, mean free path cm
FREE_PATHS = (
    (0.5, 9.1), (1, 12.4), (2, 17.6), (5, 25.7), (10, 29.4), (20, 29.3), (50, 26.1), (100, 23.5), (200, 21.4),
    (500, 19.6), (1000, 18.8),
)  # fmt: skip
PAIRS = ((5, 0.0077), (10, 0.0149), (20, 0.0227), (50, 0.0327), (100, 0.0394), (200, 0.0449), (1000, 0.0526))


def at(kinetic_mev: float, column: np.ndarray) -> float:
    return float(np.interp(np.log(kinetic_mev), np.log(tables.energy_grid()), column))


@pytest.mark.parametrize("kind", PUBLISHED, ids=("muon", "proton", "electron"))
def test_loss_and_range_are_the_published_ones(kind: int) -> None:
    loss = tables.total_loss(tables.energy_grid(), kind)
    path = tables.continuous_range(tables.energy_grid(), kind)
    for kinetic, expected_loss, expected_range in PUBLISHED[kind]:
        tolerance = 0.02 if kinetic >= 20 else 0.05
        assert at(kinetic, loss) == pytest.approx(expected_loss, rel=tolerance)
        assert at(kinetic, path) == pytest.approx(expected_range, rel=tolerance)


def test_photon_mean_free_path_is_the_published_one() -> None:
    energy = np.array([row[0] for row in FREE_PATHS], float)
    path = 1 / (photons.compton_rate(energy) + photons.pair_rate(energy) + photons.photoelectric_rate(energy))
    np.testing.assert_allclose(path, [row[1] for row in FREE_PATHS], rtol=0.02)


def test_pair_production_is_the_published_one() -> None:
    energy = np.array([row[0] for row in PAIRS], float)
    np.testing.assert_allclose(photons.pair_rate(energy), [row[1] for row in PAIRS], rtol=0.02)


def test_photoelectric_share_falls_as_published() -> None:
    energy = np.array([0.05, 0.10, 0.15, 0.30])
    absorbed, scattered = photons.photoelectric_rate(energy), photons.compton_rate(energy)
    np.testing.assert_allclose(absorbed / (absorbed + scattered), [0.77, 0.30, 0.12, 0.02], atol=0.02)


def test_binding_broadens_the_loss_of_a_fast_electron_as_shulek_says() -> None:
    """In 1 mm of argon the collisions under 10 keV spread by 10 keV (Bohr), with the binding of K and L by 16 keV."""
    kinetic = np.array([20.0, 50.0])
    bohr = argon.COLLISION_CONSTANT * argon.COLLISION_CUT_MEV
    variance = ionisation.electron_variance(kinetic, argon.ELECTRON_MASS_MEV, argon.COLLISION_CUT_MEV)
    np.testing.assert_allclose(1e3 * np.sqrt(0.1 * np.array([bohr, *variance])), [9.8, 16.4, 16.7], rtol=0.03)
