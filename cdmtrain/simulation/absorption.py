"""A muon at rest absorbed by a proton, or by a pair of nucleons, inside an argon nucleus.

The nucleus is that of cascade.py, where the nucleons continue. The share of pairs of two protons is adjusted to the
protons that Geant4's Bertini cascade sends out.
"""

import math

import numpy as np

from cdmtrain.compiled import jit
from cdmtrain.simulation.argon import MUON_MASS_MEV
from cdmtrain.simulation.cascade import (
    BINDING_MEV,
    CENTRAL_DENSITY,
    NEUTRON_INSIDE,
    NUCLEON_MASS_MEV,
    OUTSIDE_FM,
    PROTON_INSIDE,
    SPECIES,
    X,
    Y,
    Z,
    boost,
    density,
    fermi_momentum,
    kinetic_energy,
    sample_isotropic,
    set_motion,
)

MUON_BINDING_MEV = 0.848  # of the 1s orbit around argon
CHLORINE_MEV = 7.2  # the nucleus that an absorbed muon leaves is heavier than argon
PROTON_PAIR_SHARE = 0.4  # of pairs, two protons


@jit
def fermi_nucleon(species: int, here: float, rng: np.random.Generator) -> tuple[float, float, float]:
    """Momentum of a random nucleon at density `here`, MeV."""
    return sample_isotropic(fermi_momentum(species, here) * rng.random() ** (1 / 3), rng)


@jit
def sample_position(power: int, rng: np.random.Generator) -> tuple[float, float, float]:
    """A position in the nucleus, distributed as its density to this power, fm."""
    while True:
        position = sample_isotropic(OUTSIDE_FM * rng.random() ** (1 / 3), rng)
        radius = math.sqrt(position[0] ** 2 + position[1] ** 2 + position[2] ** 2)
        if rng.random() < (density(radius) / CENTRAL_DENSITY) ** power:
            return position


@jit
def absorb_on_proton(nucleon: np.ndarray, rng: np.random.Generator) -> float:
    """mu- p -> n nu: sets the neutron and returns the energy that it and the nucleus share, MeV."""
    available = MUON_MASS_MEV - MUON_BINDING_MEV
    while True:
        position = sample_position(1, rng)
        here = density(math.sqrt(position[0] ** 2 + position[1] ** 2 + position[2] ** 2))
        p = fermi_nucleon(PROTON_INSIDE, here, rng)
        square = p[0] ** 2 + p[1] ** 2 + p[2] ** 2
        energy = available + math.sqrt(square + NUCLEON_MASS_MEV**2)
        b, invariant = (p[0] / energy, p[1] / energy, p[2] / energy), math.sqrt(energy**2 - square)
        star = (invariant**2 - NUCLEON_MASS_MEV**2) / (2 * invariant)
        x, y, z, total = boost(sample_isotropic(star, rng), invariant - star, b, energy / invariant, 1.0)
        free = total - NUCLEON_MASS_MEV - kinetic_energy(fermi_momentum(NEUTRON_INSIDE, here))
        shared = available - CHLORINE_MEV - (energy - total)
        if free > 0 and shared > 0:
            nucleon[SPECIES] = NEUTRON_INSIDE
            nucleon[X], nucleon[Y], nucleon[Z] = position
            set_motion(nucleon, min(free, shared) - BINDING_MEV, x, y, z)
            return shared


@jit
def absorb_on_pair(inside: np.ndarray, rng: np.random.Generator) -> float:
    """mu- (p N) -> n N nu: sets two nucleons, back to back, and returns the energy they and the nucleus share, MeV.

    It is distributed as sqrt(x) (1 - x) in its fraction x of the energy available.
    """
    available = MUON_MASS_MEV - MUON_BINDING_MEV - CHLORINE_MEV
    species = PROTON_INSIDE if rng.random() < PROTON_PAIR_SHARE else NEUTRON_INSIDE
    x = rng.random()
    while x < 0.08 or rng.random() > 2.6 * math.sqrt(x) * (1 - x):  # with less, Pauli's principle finds no free states
        x = rng.random()
    while True:
        position = sample_position(2, rng)
        here = density(math.sqrt(position[0] ** 2 + position[1] ** 2 + position[2] ** 2))
        first, second = fermi_nucleon(PROTON_INSIDE, here, rng), fermi_nucleon(species, here, rng)
        holes = (first[0] ** 2 + first[1] ** 2 + first[2] ** 2 + second[0] ** 2 + second[1] ** 2 + second[2] ** 2) / (
            2 * NUCLEON_MASS_MEV
        )
        part = (0.2 + 0.6 * rng.random()) * (x * available + holes)
        other = x * available + holes - part
        part -= kinetic_energy(fermi_momentum(NEUTRON_INSIDE, here))
        other -= kinetic_energy(fermi_momentum(species, here))
        if part > 0 and other > 0:
            u, v, w = sample_isotropic(1.0, rng)
            for n in range(2):
                inside[n, SPECIES] = species if n == 1 else NEUTRON_INSIDE
                inside[n, X], inside[n, Y], inside[n, Z] = position
                sign = 1.0 - 2.0 * n
                set_motion(inside[n], (other if n == 1 else part) - BINDING_MEV, sign * u, sign * v, sign * w)
            return x * available
