"""Fast nucleons inside an argon nucleus: collisions with its nucleons one by one, until each has left or is bound.

An intranuclear cascade (Serber, Phys. Rev. 72 (1947) 1114; Bertini, Phys. Rev. 131 (1963) 1801). The nucleus is a
Fermi gas of Woods-Saxon density, its well as deep as the local Fermi energy plus one nucleon's binding. Nucleons go
straight, meet others with the free cross sections of Metropolis et al., Phys. Rev. 110 (1958) 185,

    sigma(pp) = 10.63/beta^2 - 29.92/beta + 42.9 mb,    sigma(np) = 34.10/beta^2 - 82.20/beta + 82.2 mb,

scatter isotropically (like) or as (1 + b cos^2)(1 + c cos) (unlike), and only where both find a free state (Pauli).
Valid from 20 to 400 MeV; no pions are made, no deuterons form. With nothing adjusted it reacts with argon as often as
measured, to 8 %. IN_MEDIUM, which shrinks the cross sections in nuclear matter (Pandharipande and Pieper, Phys. Rev. C
45 (1992) 791), and FORWARD are adjusted to the nucleons that leave argon in Geant4's Bertini cascade at 60 to 200 MeV.
What is left is an excited nucleus, see evaporation.py.
"""

import math

import numpy as np

from cdmtrain.compiled import jit
from cdmtrain.simulation.argon import ATOMIC_NUMBER, MUON_MASS_MEV
from cdmtrain.simulation.shower import turn

NEUTRON_INSIDE, PROTON_INSIDE = 0, 1
NUCLEONS = 40
HALF_DENSITY_FM, SURFACE_FM, OUTSIDE_FM = 3.6, 0.54, 6.2  # rms 3.43 fm
CENTRAL_DENSITY = (
    3 * NUCLEONS / (4 * math.pi * HALF_DENSITY_FM**3 * (1 + (math.pi * SURFACE_FM / HALF_DENSITY_FM) ** 2))
)
HBAR_C = 197.327
NUCLEON_MASS_MEV = 938.92
BINDING_MEV = 8.0
BOUND_MEV = (1.0, 3.0)  # a neutron, a proton with less outside is kept: a proton by its Coulomb barrier
LARGEST_AREA_FM2 = 40.0
IN_MEDIUM = 0.7
FORWARD = 0.7  # c: how much rather a proton stays the faster one of a proton and a neutron
MUON_BINDING_MEV = 0.848  # of the 1s orbit around argon
CHLORINE_MEV = 7.2  # the nucleus that an absorbed muon leaves is heavier than argon
PROTON_PAIR_SHARE = 0.4  # of pairs, two protons: adjusted to the protons Geant4 sends out
LARGEST_CASCADE = 64
# columns of a cascade's nucleons: energy is what it would have outside
SORT, ENERGY, X, Y, Z, U, V, W = 0, 1, 2, 3, 4, 5, 6, 7


@jit
def density(radius_fm: float) -> float:
    """Nucleons per fm^3."""
    return CENTRAL_DENSITY / (1 + math.exp((radius_fm - HALF_DENSITY_FM) / SURFACE_FM))


@jit
def fermi_momentum(sort: int, nucleons_fm3: float) -> float:
    """Of the neutrons or protons at this density of nucleons, MeV."""
    share = ATOMIC_NUMBER / NUCLEONS if sort == PROTON_INSIDE else 1 - ATOMIC_NUMBER / NUCLEONS
    return HBAR_C * (3 * math.pi**2 * share * nucleons_fm3) ** (1 / 3)


@jit
def kinetic_of(momentum_mev: float) -> float:
    """Kinetic energy of a nucleon of this momentum."""
    return math.sqrt(momentum_mev**2 + NUCLEON_MASS_MEV**2) - NUCLEON_MASS_MEV


@jit
def area_fm2(alike: bool, kinetic_mev: float) -> float:
    """Nucleon-nucleon cross section at this energy, the other at rest."""
    gamma = 1 + max(kinetic_mev, 1.0) / NUCLEON_MASS_MEV
    beta = math.sqrt(1 - 1 / gamma**2)
    square, single, constant = (10.63, 29.92, 42.9) if alike else (34.10, 82.20, 82.2)
    return min(0.1 * (square / beta**2 - single / beta + constant), LARGEST_AREA_FM2)


@jit
def isotropic(length: float, rng: np.random.Generator) -> tuple[float, float, float]:
    """A vector of this length in any direction."""
    cosine, azimuth = 2 * rng.random() - 1, 2 * math.pi * rng.random()
    sine = math.sqrt(1 - cosine * cosine)
    return length * sine * math.cos(azimuth), length * sine * math.sin(azimuth), length * cosine


@jit
def boosted(
    p: tuple[float, float, float], energy: float, b: tuple[float, float, float], gamma: float, sign: float
) -> tuple[float, float, float, float]:
    """Momentum and energy in a frame that moves with -sign times the velocity b."""
    along = p[0] * b[0] + p[1] * b[1] + p[2] * b[2]
    shift = gamma * (gamma / (gamma + 1) * along + sign * energy)
    return p[0] + b[0] * shift, p[1] + b[1] * shift, p[2] + b[2] * shift, gamma * (energy + sign * along)


@jit
def scattered_cosine(alike: bool, kinetic_mev: float, rng: np.random.Generator) -> float:
    """Of the first nucleon, in the frame where both have the same momentum."""
    while True:
        cosine = 2 * rng.random() - 1
        if alike:
            return cosine
        peak = min(kinetic_mev / 60, 3.0)
        if rng.random() * (1 + peak) * (1 + FORWARD) < (1 + peak * cosine * cosine) * (1 + FORWARD * cosine):
            return cosine


@jit
def collide(nucleon: np.ndarray, other: np.ndarray, nucleons_fm3: float, rng: np.random.Generator) -> bool:
    """Try one collision at this density: by cross section, then by Pauli. `other` becomes the one knocked on."""
    sort = int(nucleon[SORT])
    partner = PROTON_INSIDE if rng.random() < ATOMIC_NUMBER / NUCLEONS else NEUTRON_INSIDE
    fermi, fermi_partner = fermi_momentum(sort, nucleons_fm3), fermi_momentum(partner, nucleons_fm3)
    kinetic = nucleon[ENERGY] + kinetic_of(fermi) + BINDING_MEV
    length = math.sqrt(kinetic * (kinetic + 2 * NUCLEON_MASS_MEV))
    p1 = (length * nucleon[U], length * nucleon[V], length * nucleon[W])
    p2 = isotropic(fermi_partner * rng.random() ** (1 / 3), rng)
    e1 = kinetic + NUCLEON_MASS_MEV
    energy = e1 + math.sqrt(p2[0] ** 2 + p2[1] ** 2 + p2[2] ** 2 + NUCLEON_MASS_MEV**2)
    b = ((p1[0] + p2[0]) / energy, (p1[1] + p2[1]) / energy, (p1[2] + p2[2]) / energy)
    gamma = 1 / math.sqrt(1 - b[0] ** 2 - b[1] ** 2 - b[2] ** 2)
    half = 0.5 * energy / gamma
    relative = 2 * (half**2 - NUCLEON_MASS_MEV**2) / NUCLEON_MASS_MEV
    if rng.random() * LARGEST_AREA_FM2 > IN_MEDIUM * area_fm2(sort == partner, relative):
        return False
    x, y, z, _ = boosted(p1, e1, b, gamma, -1.0)
    star = math.sqrt(x * x + y * y + z * z)
    cosine = scattered_cosine(sort == partner, relative, rng)
    x, y, z = turn(x / star, y / star, z / star, cosine, 2 * math.pi * rng.random())
    after, after_partner = (star * x, star * y, star * z), (-star * x, -star * y, -star * z)
    x1, y1, z1, e1 = boosted(after, half, b, gamma, 1.0)
    x2, y2, z2, e2 = boosted(after_partner, half, b, gamma, 1.0)
    kinetic1, kinetic2 = e1 - NUCLEON_MASS_MEV, e2 - NUCLEON_MASS_MEV
    if kinetic1 < kinetic_of(fermi) or kinetic2 < kinetic_of(fermi_partner):
        return False
    other[:] = nucleon
    other[SORT] = partner
    settle(nucleon, kinetic1 - kinetic_of(fermi) - BINDING_MEV, x1, y1, z1)
    settle(other, kinetic2 - kinetic_of(fermi_partner) - BINDING_MEV, x2, y2, z2)
    return True


@jit
def settle(nucleon: np.ndarray, energy: float, x: float, y: float, z: float) -> None:
    """Its new energy and direction."""
    length = math.sqrt(x * x + y * y + z * z)
    nucleon[ENERGY] = energy
    nucleon[U], nucleon[V], nucleon[W] = x / length, y / length, z / length


@jit
def cascade(inside: np.ndarray, waiting: int, free: np.ndarray, rng: np.random.Generator) -> tuple[int, int]:
    """Follow the first `waiting` nucleons and all they hit; how many left, in `free`, and how many collisions."""
    left, collisions = 0, 0
    nucleon = np.empty(8)
    while waiting > 0:
        waiting -= 1
        nucleon[:] = inside[waiting]
        while nucleon[ENERGY] > BOUND_MEV[int(nucleon[SORT])]:
            flight = rng.standard_exponential() / (CENTRAL_DENSITY * LARGEST_AREA_FM2)
            nucleon[X] += flight * nucleon[U]
            nucleon[Y] += flight * nucleon[V]
            nucleon[Z] += flight * nucleon[W]
            radius = math.sqrt(nucleon[X] ** 2 + nucleon[Y] ** 2 + nucleon[Z] ** 2)
            if radius > OUTSIDE_FM:
                free[left] = nucleon
                left += 1
                break
            here, room = density(radius), waiting + left < LARGEST_CASCADE - 1
            if room and rng.random() * CENTRAL_DENSITY < here and collide(nucleon, inside[waiting], here, rng):
                collisions += 1
                waiting += 1
    return left, collisions


@jit
def enter(nucleon: np.ndarray, energy: float, u: float, v: float, w: float, rng: np.random.Generator) -> None:
    """A proton on its way into the nucleus, anywhere on its face."""
    b = OUTSIDE_FM * math.sqrt(rng.random())
    x, y, z = turn(u, v, w, 0.0, 2 * math.pi * rng.random())
    back = math.sqrt(OUTSIDE_FM**2 - b * b)
    nucleon[SORT], nucleon[ENERGY] = PROTON_INSIDE, energy
    nucleon[X], nucleon[Y], nucleon[Z] = b * x - back * u, b * y - back * v, b * z - back * w
    nucleon[U], nucleon[V], nucleon[W] = u, v, w


@jit
def fermi_nucleon(sort: int, here: float, rng: np.random.Generator) -> tuple[float, float, float]:
    """Momentum of a nucleon of this sort at this density."""
    return isotropic(fermi_momentum(sort, here) * rng.random() ** (1 / 3), rng)


@jit
def place_inside(power: int, rng: np.random.Generator) -> tuple[float, float, float]:
    """Anywhere in the nucleus, as its density to this power."""
    while True:
        place = isotropic(OUTSIDE_FM * rng.random() ** (1 / 3), rng)
        radius = math.sqrt(place[0] ** 2 + place[1] ** 2 + place[2] ** 2)
        if rng.random() < (density(radius) / CENTRAL_DENSITY) ** power:
            return place


@jit
def absorb_on_proton(nucleon: np.ndarray, rng: np.random.Generator) -> float:
    """mu- p -> n nu: the neutron; the energy that nucleus and neutron have together."""
    available = MUON_MASS_MEV - MUON_BINDING_MEV
    while True:
        place = place_inside(1, rng)
        here = density(math.sqrt(place[0] ** 2 + place[1] ** 2 + place[2] ** 2))
        p = fermi_nucleon(PROTON_INSIDE, here, rng)
        square = p[0] ** 2 + p[1] ** 2 + p[2] ** 2
        energy = available + math.sqrt(square + NUCLEON_MASS_MEV**2)
        b, invariant = (p[0] / energy, p[1] / energy, p[2] / energy), math.sqrt(energy**2 - square)
        star = (invariant**2 - NUCLEON_MASS_MEV**2) / (2 * invariant)
        x, y, z, total = boosted(isotropic(star, rng), invariant - star, b, energy / invariant, 1.0)
        free = total - NUCLEON_MASS_MEV - kinetic_of(fermi_momentum(NEUTRON_INSIDE, here))
        shared = available - CHLORINE_MEV - (energy - total)
        if free > 0 and shared > 0:
            nucleon[SORT] = NEUTRON_INSIDE
            nucleon[X], nucleon[Y], nucleon[Z] = place
            settle(nucleon, min(free, shared) - BINDING_MEV, x, y, z)
            return shared


@jit
def absorb_on_pair(inside: np.ndarray, rng: np.random.Generator) -> float:
    """mu- (p N) -> n N nu: two nucleons, back to back, and the energy x that nucleus and they have, sqrt(x) (1 - x)."""
    available = MUON_MASS_MEV - MUON_BINDING_MEV - CHLORINE_MEV
    sort = PROTON_INSIDE if rng.random() < PROTON_PAIR_SHARE else NEUTRON_INSIDE
    x = rng.random()
    while x < 0.08 or rng.random() > 2.6 * math.sqrt(x) * (1 - x):  # less finds no free states
        x = rng.random()
    while True:
        place = place_inside(2, rng)
        here = density(math.sqrt(place[0] ** 2 + place[1] ** 2 + place[2] ** 2))
        first, second = fermi_nucleon(PROTON_INSIDE, here, rng), fermi_nucleon(sort, here, rng)
        holes = (first[0] ** 2 + first[1] ** 2 + first[2] ** 2 + second[0] ** 2 + second[1] ** 2 + second[2] ** 2) / (
            2 * NUCLEON_MASS_MEV
        )
        part = (0.2 + 0.6 * rng.random()) * (x * available + holes)
        other = x * available + holes - part
        part -= kinetic_of(fermi_momentum(NEUTRON_INSIDE, here))
        other -= kinetic_of(fermi_momentum(sort, here))
        if part > 0 and other > 0:
            u, v, w = isotropic(1.0, rng)
            for n in range(2):
                inside[n, SORT] = sort if n == 1 else NEUTRON_INSIDE
                inside[n, X], inside[n, Y], inside[n, Z] = place
                sign = 1.0 - 2.0 * n
                settle(inside[n], (other if n == 1 else part) - BINDING_MEV, sign * u, sign * v, sign * w)
            return x * available
