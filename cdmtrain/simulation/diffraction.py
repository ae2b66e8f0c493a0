"""Elastic scattering of protons on argon nuclei: how often, by which angle, and what the nucleus takes.

Rate: the total cross section of nucleons less that for reactions, both evaluated by Barashenkov (Cross Sections of
Interactions of Particles and Nuclei with Nuclei, JINR, Dubna, 1993), in the form in which Geant4 11.4 uses them; its
scatters by less than 1 MeV/c, which turn nothing, are not counted.
Angle: Fraunhofer diffraction on a black disk with a diffuse edge (Inopin and Berezhnoy, Nucl. Phys. 63 (1965) 689),

    dsigma/dq^2 = [J1(qR) / qR]^2 [pi q d / sinh(pi q d)]^2,     R = 1.23 A^(1/3) fm,

with rings at q R = 3.8, 7.0, ...: the second ring, around 230 MeV/c, holds most of the visible kinks. The nucleus takes
q^2 / 2M. Valid from 40 MeV on; below, Geant4 sends twice as many into the second ring.
"""

import math

import numpy as np

from cdmtrain.compiled import jit
from cdmtrain.simulation import argon
from cdmtrain.simulation.shower import KINETIC, TWO_PI, Shower, change_direction, deposit_here

RADIUS_FM, DIFFUSENESS_FM = 1.23 * argon.ATOMIC_MASS ** (1 / 3), 0.40
HBAR_C = 197.327  # MeV fm
# kinetic energy MeV, millibarn
CROSS_SECTION = (
    (5, 897), (8, 1195), (10, 1307), (13, 1394), (20, 1202), (25, 1284), (30, 1436), (40, 1563), (50, 1445),
    (60, 1343), (70, 1198), (80, 1079), (90, 948), (100, 750), (110, 670), (120, 585), (135, 505), (150, 396),
    (170, 326), (200, 258), (260, 227), (400, 242), (600, 269), (1000, 350), (2000, 361),
)  # fmt: skip
LARGEST_Q_MEV, NODES = 700.0, 2048
NUCLEUS_MASS_MEV = 37200.0
ION_DENSITY = 500.0  # MeV/cm


def elastic_rate(kinetic_mev: np.ndarray) -> np.ndarray:
    """Elastic scatters of a proton on nuclei per cm; none below 5 MeV, where Coulomb's force rules."""
    energy, millibarn = np.array(CROSS_SECTION, float).T
    area = np.interp(np.log(kinetic_mev), np.log(energy), millibarn) * (kinetic_mev >= energy[0])
    return area * 1e-27 * argon.ATOMS_PER_CM3


def transfers_mev() -> np.ndarray:
    """Momentum transfers at equal steps of their cumulative distribution, MeV/c."""
    q = np.linspace(0.5, LARGEST_Q_MEV, NODES)
    x, edge = q * RADIUS_FM / HBAR_C, math.pi * q * DIFFUSENESS_FM / HBAR_C
    angle = (np.arange(64) + 0.5) * math.pi / 64
    bessel = np.cos(angle - x[:, None] * np.sin(angle)).mean(axis=1)  # J1
    cumulative = np.cumsum(q * (bessel / x * edge / np.sinh(edge)) ** 2)
    return np.interp((np.arange(NODES) + 0.5) / NODES, cumulative / cumulative[-1], q)


TRANSFERS_MEV = transfers_mev()


@jit
def sample_transfer_mev(largest_mev: float, rng: np.random.Generator) -> float:
    """Momentum transfer of one scatter, below what the kinematics allow, MeV/c."""
    while True:
        q = TRANSFERS_MEV[int(rng.random() * NODES)]
        if q < largest_mev:
            return q


@jit
def scatter_on_nucleus(shower: Shower, proton: np.ndarray, rng: np.random.Generator) -> None:
    """Turn a proton by one elastic scatter; the nucleus stops where it is struck."""
    kinetic = proton[KINETIC]
    momentum2 = kinetic * (kinetic + 2 * argon.PROTON_MASS_MEV)
    q = sample_transfer_mev(2 * math.sqrt(momentum2), rng)
    recoil_mev = q * q / (2 * NUCLEUS_MASS_MEV)
    deposit_here(shower, proton, recoil_mev, ION_DENSITY)
    proton[KINETIC] = kinetic - recoil_mev
    change_direction(proton, 1 - q * q / (2 * momentum2), TWO_PI * rng.random())
