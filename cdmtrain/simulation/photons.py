"""Photons: Compton scattering, pair production, photoelectric absorption.

Compton: Klein and Nishina on free electrons. Pairs: Bethe-Heitler; total by the fit of Hubbell, Gimm and Overbo,
J. Phys. Chem. Ref. Data 9 (1980) 1023, as in Geant4's BetheHeitler model (1.5 MeV to 100 GeV, 5 %), energy sharing
with Butcher and Messel's screening functions. Photoelectric: a power law E^-3.1 through 0.30 of the attenuation at
100 keV (NIST XCOM argon), good to 10 % between 30 and 300 keV.
Below `photoelectric_from_mev` absorption is left out, so that softer photons only scatter: nature does not do that, but
the Geant4 events with which this sample is compared do, see docs/simulator.md. Rayleigh scattering deposits no energy
and is left out.
"""

import math

import numpy as np

from cdmtrain.compiled import jit
from cdmtrain.simulation import argon
from cdmtrain.simulation.secondaries import COULOMB_CORRECTION

PHOTOELECTRIC_SHARE_100_KEV = 0.30
# Hubbell's fit in microbarn: sigma = Z(Z+1) [F1 + F2 Z + F3/Z], each a polynomial in ln(E/m), lowest power first
HUBBELL = (
    (8.7842e2, -1.9625e3, 1.2949e3, -2.0028e2, 1.2575e1, -2.8333e-1),
    (-1.0342e1, 1.7692e1, -8.2381, 1.3063, -9.0815e-2, 2.3586e-3),
    (-4.5263e2, 1.1161e3, -8.6749e2, 2.1773e2, -2.0467e1, 6.5372e-1),
)
LOW_PAIR_MEV = 1.5
SCREENING_SCALE = 136.0 / argon.ATOMIC_NUMBER ** (1 / 3)
LOG_TERM = 8 * math.log(argon.ATOMIC_NUMBER) / 3


def compton_rate(energy_mev: np.ndarray) -> np.ndarray:
    """Compton scatters per cm (Klein and Nishina)."""
    x = energy_mev / argon.ELECTRON_MASS_MEV
    log = np.log(1 + 2 * x)
    first = (1 + x) / x**2 * (2 * (1 + x) / (1 + 2 * x) - log / x)
    area = 2 * math.pi * argon.ELECTRON_RADIUS_CM**2 * (first + log / (2 * x) - (1 + 3 * x) / (1 + 2 * x) ** 2)
    return argon.ELECTRONS_PER_CM3 * area


def pair_rate(energy_mev: np.ndarray) -> np.ndarray:
    """Pairs per cm; below 1.5 MeV the value there falls as (E - 2m)^2 to the threshold."""
    x = np.log(np.maximum(energy_mev, LOW_PAIR_MEV) / argon.ELECTRON_MASS_MEV)
    f1, f2, f3 = (sum(c * x**n for n, c in enumerate(row)) for row in HUBBELL)
    z = argon.ATOMIC_NUMBER
    area = z * (z + 1) * (f1 + f2 * z + f3 / z) * 1e-30
    threshold = 2 * argon.ELECTRON_MASS_MEV
    fall = np.clip((energy_mev - threshold) / (LOW_PAIR_MEV - threshold), 0, 1) ** 2
    return argon.ATOMS_PER_CM3 * area * fall


def photoelectric_rate(energy_mev: np.ndarray) -> np.ndarray:
    """Photoelectric absorptions per cm."""
    share = PHOTOELECTRIC_SHARE_100_KEV
    return share / (1 - share) * compton_rate(np.array([0.1]))[0] * (energy_mev / 0.1) ** -3.1


@jit
def sample_compton(energy_mev: float, rng: np.random.Generator) -> tuple[float, float]:
    """Energy (MeV) and cosine of a scattered photon."""
    x = energy_mev / argon.ELECTRON_MASS_MEV
    smallest = 1 / (1 + 2 * x)
    log, square = -math.log(smallest), 0.5 * (1 - smallest * smallest)
    while True:
        if rng.random() * (log + square) < log:
            e = smallest ** rng.random()
        else:
            e = math.sqrt(smallest * smallest + (1 - smallest * smallest) * rng.random())
        t = (1 - e) / (x * e)
        if rng.random() < 1 - e * t * (2 - t) / (1 + e * e):
            return energy_mev * e, 1 - t


@jit
def screening_functions(delta: float) -> tuple[float, float]:
    """Butcher and Messel's 3 phi1 - phi2 and 1.5 phi1 + 0.5 phi2."""
    if delta > 1.4:
        value = 42.038 - 8.29 * math.log(delta + 0.958)
        return value, value
    return 42.184 - delta * (7.444 - 1.623 * delta), 41.326 - delta * (5.848 - 0.902 * delta)


@jit
def sample_pair_share(energy_mev: float, rng: np.random.Generator) -> float:
    """Fraction of the photon's energy, rest mass included, that the less energetic of the pair gets."""
    smallest = argon.ELECTRON_MASS_MEV / energy_mev
    if energy_mev < 2.0:
        return smallest + (0.5 - smallest) * rng.random()
    term = LOG_TERM + (8 * COULOMB_CORRECTION if energy_mev > 50.0 else 0.0)
    largest_delta = math.exp((42.038 - term) / 8.29) - 0.958
    smallest_delta = 4 * SCREENING_SCALE * smallest
    low = max(smallest, 0.5 - 0.5 * math.sqrt(max(1 - smallest_delta / largest_delta, 0.0)))
    span = 0.5 - low
    screen1, screen2 = screening_functions(smallest_delta)
    norm1, norm2 = max((screen1 - term) * span * span, 0.0), max(1.5 * (screen2 - term), 0.0)
    while True:
        first = rng.random() * (norm1 + norm2) < norm1
        share = 0.5 - span * rng.random() ** (1 / 3) if first else low + span * rng.random()
        value1, value2 = screening_functions(SCREENING_SCALE * smallest / (share * (1 - share)))
        accept = (value1 - term) / (screen1 - term) if first else (value2 - term) / (screen2 - term)
        if rng.random() < accept:
            return share
