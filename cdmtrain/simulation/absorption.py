"""A muon at rest absorbed by a proton, or by a pair of nucleons, inside an argon nucleus.

The nucleus is that of cascade.py, where the nucleons continue. The share of pairs of two protons is adjusted to the
protons that Geant4's Bertini cascade sends out.
"""

import math

import numpy as np

from cdmtrain.compiled import jit
from cdmtrain.simulation import argon, cascade

MUON_BINDING_MEV = 0.853  # of the 1s orbit around argon
CHLORINE_MEV = 7.2  # the nucleus that an absorbed muon leaves is heavier than argon
PROTON_PAIR_SHARE = 0.4  # of pairs, two protons


@jit
def fermi_nucleon(species: int, here: float, rng: np.random.Generator) -> tuple[float, float, float]:
    """Momentum of a random nucleon at density `here`, MeV."""
    return cascade.sample_isotropic(cascade.fermi_momentum(species, here) * rng.random() ** (1 / 3), rng)


@jit
def sample_position(power: int, rng: np.random.Generator) -> tuple[tuple[float, float, float], float]:
    """A position in the nucleus, distributed as its density to this power, fm, and the density there."""
    while True:
        position = cascade.sample_isotropic(cascade.OUTSIDE_FM * rng.random() ** (1 / 3), rng)
        here = cascade.density(math.sqrt(position[0] ** 2 + position[1] ** 2 + position[2] ** 2))
        if rng.random() < (here / cascade.CENTRAL_DENSITY) ** power:
            return position, here


@jit
def absorb_on_proton(nucleon: np.ndarray, rng: np.random.Generator) -> float:
    """mu- p -> n nu: sets the neutron and returns the energy that it and the nucleus share, MeV.

    The proton leaves a hole in the Fermi sea, whose depth stays in the nucleus as excitation.
    """
    available = argon.MUON_MASS_MEV - MUON_BINDING_MEV
    while True:
        position, here = sample_position(1, rng)
        p = fermi_nucleon(cascade.PROTON_INSIDE, here, rng)
        square = p[0] ** 2 + p[1] ** 2 + p[2] ** 2
        inside = math.sqrt(square + cascade.NUCLEON_MASS_MEV**2)
        energy = available + inside
        b, invariant = (p[0] / energy, p[1] / energy, p[2] / energy), math.sqrt(energy**2 - square)
        star = (invariant**2 - cascade.NUCLEON_MASS_MEV**2) / (2 * invariant)
        p = cascade.sample_isotropic(star, rng)
        x, y, z, total = cascade.boost(p, invariant - star, b, energy / invariant, 1.0)
        well = cascade.kinetic_energy(cascade.fermi_momentum(cascade.NEUTRON_INSIDE, here))
        depth = cascade.kinetic_energy(cascade.fermi_momentum(cascade.PROTON_INSIDE, here))
        hole = depth - (inside - cascade.NUCLEON_MASS_MEV)
        shared = available - CHLORINE_MEV - (energy - total)
        if total - cascade.NUCLEON_MASS_MEV > well and shared > hole:
            nucleon[cascade.SPECIES] = cascade.NEUTRON_INSIDE
            nucleon[cascade.X], nucleon[cascade.Y], nucleon[cascade.Z] = position
            cascade.set_motion(nucleon, shared - hole - cascade.BINDING_MEV, x, y, z)
            return shared


@jit
def absorb_on_pair(inside: np.ndarray, rng: np.random.Generator) -> float:
    """mu- (p N) -> n N nu: sets two nucleons, back to back, and returns the energy they and the nucleus share, MeV.

    It is distributed as sqrt(x) (1 - x) in its fraction x of the energy available.
    """
    available = argon.MUON_MASS_MEV - MUON_BINDING_MEV - CHLORINE_MEV
    species = cascade.PROTON_INSIDE if rng.random() < PROTON_PAIR_SHARE else cascade.NEUTRON_INSIDE
    x = rng.random()
    while x < 0.08 or rng.random() > 2.6 * math.sqrt(x) * (1 - x):  # with less, Pauli's principle finds no free states
        x = rng.random()
    while True:
        position, here = sample_position(2, rng)
        first, second = fermi_nucleon(cascade.PROTON_INSIDE, here, rng), fermi_nucleon(species, here, rng)
        holes = first[0] ** 2 + first[1] ** 2 + first[2] ** 2 + second[0] ** 2 + second[1] ** 2 + second[2] ** 2
        holes /= 2 * cascade.NUCLEON_MASS_MEV
        part = (0.2 + 0.6 * rng.random()) * (x * available + holes)
        other = x * available + holes - part
        part -= cascade.kinetic_energy(cascade.fermi_momentum(cascade.NEUTRON_INSIDE, here))
        other -= cascade.kinetic_energy(cascade.fermi_momentum(species, here))
        if part > 0 and other > 0:
            u, v, w = cascade.sample_isotropic(1.0, rng)
            for n in range(2):
                inside[n, cascade.SPECIES] = species if n == 1 else cascade.NEUTRON_INSIDE
                inside[n, cascade.X], inside[n, cascade.Y], inside[n, cascade.Z] = position
                sign = 1.0 - 2.0 * n
                energy = (other if n == 1 else part) - cascade.BINDING_MEV
                cascade.set_motion(inside[n], energy, sign * u, sign * v, sign * w)
            return x * available
