"""Bremsstrahlung of electrons and positrons.

Law: Tsai, Rev. Mod. Phys. 46 (1974) 815, eqs. 3.38-3.41, with finite screening and the Coulomb correction,

    dsigma/dk = 16 alpha r_e^2 Z^2 / (3 k) { (1 - y + 3/4 y^2) [phi1/4 - ln(Z)/3 - f + (psi1/4 - 2 ln(Z)/3)/Z]
                                             + (1 - y) [(phi1 - phi2) + (psi1 - psi2)/Z] / 8 },   y = k/E,

the same law as Geant4's eBremsstrahlungRelModel. Born approximation: a few per cent low under 5 MeV, where radiation
is a tenth of the loss. Photons under the cut (30 keV) are part of the continuous loss. Directions: the sum of two
exponentials in E theta / m of Tsai as Geant4 samples it (Physics Reference Manual, Bremsstrahlung, angular
distribution).
"""

import math

import numpy as np

from cdmtrain.compiled import jit
from cdmtrain.simulation.argon import (
    ATOMIC_NUMBER,
    ATOMS_PER_CM3,
    ELECTRON_MASS_MEV,
    ELECTRON_RADIUS_CM,
    FINE_STRUCTURE,
    PHOTON_CUT_MEV,
)

LOG_Z = math.log(ATOMIC_NUMBER)
AZ2 = (FINE_STRUCTURE * ATOMIC_NUMBER) ** 2
COULOMB_CORRECTION = AZ2 * (1 / (1 + AZ2) + 0.20206 - 0.0369 * AZ2 + 0.0083 * AZ2**2 - 0.0020 * AZ2**3)
SCREENING_NUCLEUS = 100 * ELECTRON_MASS_MEV / ATOMIC_NUMBER ** (1 / 3)
SCREENING_ELECTRONS = 100 * ELECTRON_MASS_MEV / ATOMIC_NUMBER ** (2 / 3)
LARGEST_SPECTRUM = (
    (16.863 + 4.0) / 4 - LOG_Z / 3 - COULOMB_CORRECTION + ((24.34 + 4.0) / 4 - 2 * LOG_Z / 3) / ATOMIC_NUMBER + 0.2
)


@jit
def spectrum(y: float, total_mev: float) -> float:
    """The braces of Tsai's formula: k dsigma/dk without its constants, for y = k/E and total energy E."""
    minimum_momentum = y / (total_mev * (1 - y))
    g, e = SCREENING_NUCLEUS * minimum_momentum, SCREENING_ELECTRONS * minimum_momentum
    phi1 = 16.863 - 2 * math.log(1 + 0.311877 * g * g) + 2.4 * math.exp(-0.9 * g) + 1.6 * math.exp(-1.5 * g)
    psi1 = 24.34 - 2 * math.log(1 + 13.111641 * e * e) + 2.8 * math.exp(-8 * e) + 1.2 * math.exp(-29.2 * e)
    screened = 2 / (3 + 19.5 * g + 18 * g * g) + 2 / (3 + 120 * e + 1200 * e * e) / ATOMIC_NUMBER
    main = phi1 / 4 - LOG_Z / 3 - COULOMB_CORRECTION + (psi1 / 4 - 2 * LOG_Z / 3) / ATOMIC_NUMBER
    return max((1 - y + 0.75 * y * y) * main + (1 - y) * screened / 8, 0.0)


def radiation_integrals(kinetic_mev: np.ndarray, cut_mev: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Photons above the cut per cm, MeV/cm radiated below the cut, and MeV/cm radiated in total."""
    constant = 16 * FINE_STRUCTURE * ELECTRON_RADIUS_CM**2 * ATOMIC_NUMBER**2 / 3 * ATOMS_PER_CM3
    nodes, weights = np.polynomial.legendre.leggauss(64)
    rate, soft, total = np.zeros((3, len(kinetic_mev)))
    for i, kinetic in enumerate(kinetic_mev):
        energy = kinetic + ELECTRON_MASS_MEV
        for low, high in ((1e-6 * kinetic, min(cut_mev, kinetic)), (min(cut_mev, kinetic), kinetic)):
            half = 0.5 * math.log(high / low)
            k = low * np.exp(half * (nodes + 1))
            values = constant * half * weights * [spectrum(min(y, 0.999999), energy) for y in k / energy]
            total[i] += (values * k).sum()
            if high <= cut_mev:
                soft[i] += (values * k).sum()
            else:
                rate[i] += values.sum()
    return rate, soft, total


@jit
def sample_photon_mev(kinetic_mev: float, rng: np.random.Generator) -> float:
    """Energy of a photon above the cut, MeV: 1/k times the spectrum, by rejection."""
    total = kinetic_mev + ELECTRON_MASS_MEV
    span = math.log(kinetic_mev / PHOTON_CUT_MEV)
    while True:
        k = PHOTON_CUT_MEV * math.exp(span * rng.random())
        if rng.random() * LARGEST_SPECTRUM < spectrum(k / total, total):
            return k


@jit
def sample_small_angle(total_mev: float, rng: np.random.Generator) -> float:
    """Cosine between an electron of this energy and the photon it emitted, or that made it."""
    slope = 0.625 if rng.random() < 0.25 else 1.875
    while True:
        u = -math.log((1 - rng.random()) * (1 - rng.random())) / slope
        theta = u * ELECTRON_MASS_MEV / total_mev
        if theta < math.pi:
            return math.cos(theta)
