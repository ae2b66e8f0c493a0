"""Follow fast nucleons inside an argon nucleus, collision by collision, until each has left or is bound.

An intranuclear cascade (Serber, Phys. Rev. 72 (1947) 1114; Bertini, Phys. Rev. 131 (1963) 1801). The nucleus is a
Fermi gas of Woods-Saxon density; its well is as deep as the local Fermi energy plus one nucleon's binding. Nucleons
go straight and meet others with the free cross sections of Metropolis et al., Phys. Rev. 110 (1958) 185,

    sigma(pp) = 10.63/beta^2 - 29.92/beta + 42.9 mb,    sigma(np) = 34.10/beta^2 - 82.20/beta + 82.2 mb.

They scatter isotropically (like nucleons) or as (1 + b cos^2)(1 + c cos) (unlike), and only if both find a free state
(Pauli). Valid from 20 to 400 MeV; no pions are made and no deuterons form. With nothing adjusted, protons react with
argon as often as measured, to 8 %. IN_MEDIUM, which shrinks the cross sections in nuclear matter (Pandharipande and
Pieper, Phys. Rev. C 45 (1992) 791), and FORWARD are adjusted to the nucleons that leave argon in Geant4's Bertini
cascade at 60 to 200 MeV. The excited nucleus that is left is treated in nuclear.py.
"""

import math

import numpy as np

from cdmtrain.compiled import jit
from cdmtrain.simulation.argon import ATOMIC_NUMBER
from cdmtrain.simulation.shower import U, V, W, X, Y, Z, move, turn

NEUTRON_INSIDE, PROTON_INSIDE = 0, 1
NUCLEONS = 40
HALF_DENSITY_FM, SURFACE_FM, OUTSIDE_FM = 3.6, 0.54, 6.2  # rms 3.43 fm
SURFACE_FACTOR = 1 + (math.pi * SURFACE_FM / HALF_DENSITY_FM) ** 2
CENTRAL_DENSITY = 3 * NUCLEONS / (4 * math.pi * HALF_DENSITY_FM**3 * SURFACE_FACTOR)
HBAR_C = 197.327
NUCLEON_MASS_MEV = 938.92
BINDING_MEV = 8.0
BOUND_MEV = (1.0, 3.0)  # a neutron or proton that would have less outside stays bound (Coulomb barrier for protons)
LARGEST_CROSS_SECTION_FM2 = 40.0
IN_MEDIUM = 0.7
FORWARD = 0.7  # c: in a collision of unlike nucleons the fast one tends to stay the fast one
LARGEST_CASCADE = 64
# columns of a cascade's nucleons, with X to W as in shower.py; ENERGY is the kinetic energy it would have outside
SPECIES, ENERGY = 0, 1


@jit
def density(radius_fm: float) -> float:
    """Nucleons per fm^3."""
    return CENTRAL_DENSITY / (1 + math.exp((radius_fm - HALF_DENSITY_FM) / SURFACE_FM))


@jit
def fermi_momentum(species: int, nucleons_fm3: float) -> float:
    """Fermi momentum of the neutrons or protons at this density of nucleons, MeV."""
    share = ATOMIC_NUMBER / NUCLEONS if species == PROTON_INSIDE else 1 - ATOMIC_NUMBER / NUCLEONS
    return HBAR_C * (3 * math.pi**2 * share * nucleons_fm3) ** (1 / 3)


@jit
def kinetic_energy(momentum_mev: float) -> float:
    """Kinetic energy of a nucleon with this momentum, MeV."""
    return math.sqrt(momentum_mev**2 + NUCLEON_MASS_MEV**2) - NUCLEON_MASS_MEV


@jit
def cross_section_fm2(alike: bool, kinetic_mev: float) -> float:
    """Cross section of two nucleons, like or unlike, one of which is at rest, fm^2."""
    gamma = 1 + max(kinetic_mev, 1.0) / NUCLEON_MASS_MEV
    beta = math.sqrt(1 - 1 / gamma**2)
    square, single, constant = (10.63, 29.92, 42.9) if alike else (34.10, 82.20, 82.2)
    return min(0.1 * (square / beta**2 - single / beta + constant), LARGEST_CROSS_SECTION_FM2)


@jit
def sample_isotropic(length: float, rng: np.random.Generator) -> tuple[float, float, float]:
    """A vector of this length in a random direction."""
    cosine, azimuth = 2 * rng.random() - 1, 2 * math.pi * rng.random()
    sine = math.sqrt(1 - cosine * cosine)
    return length * sine * math.cos(azimuth), length * sine * math.sin(azimuth), length * cosine


@jit
def boost(
    p: tuple[float, float, float], energy: float, b: tuple[float, float, float], gamma: float, sign: float
) -> tuple[float, float, float, float]:
    """Momentum and energy in a frame that moves with velocity -sign * b."""
    along = p[0] * b[0] + p[1] * b[1] + p[2] * b[2]
    shift = gamma * (gamma / (gamma + 1) * along + sign * energy)
    return p[0] + b[0] * shift, p[1] + b[1] * shift, p[2] + b[2] * shift, gamma * (energy + sign * along)


@jit
def sample_cosine(alike: bool, kinetic_mev: float, rng: np.random.Generator) -> float:
    """Scattering angle of the first nucleon in the centre-of-momentum frame."""
    while True:
        cosine = 2 * rng.random() - 1
        if alike:
            return cosine
        peak = min(kinetic_mev / 60, 3.0)
        if rng.random() * (1 + peak) * (1 + FORWARD) < (1 + peak * cosine * cosine) * (1 + FORWARD * cosine):
            return cosine


@jit
def collide(nucleon: np.ndarray, other: np.ndarray, nucleons_fm3: float, rng: np.random.Generator) -> bool:
    """Try one collision; True if the cross section and Pauli's principle allow it. `other` is the struck nucleon."""
    species = int(nucleon[SPECIES])
    partner = PROTON_INSIDE if rng.random() < ATOMIC_NUMBER / NUCLEONS else NEUTRON_INSIDE
    fermi, fermi_partner = fermi_momentum(species, nucleons_fm3), fermi_momentum(partner, nucleons_fm3)
    kinetic = nucleon[ENERGY] + kinetic_energy(fermi) + BINDING_MEV
    length = math.sqrt(kinetic * (kinetic + 2 * NUCLEON_MASS_MEV))
    p1 = (length * nucleon[U], length * nucleon[V], length * nucleon[W])
    p2 = sample_isotropic(fermi_partner * rng.random() ** (1 / 3), rng)
    e1 = kinetic + NUCLEON_MASS_MEV
    energy = e1 + math.sqrt(p2[0] ** 2 + p2[1] ** 2 + p2[2] ** 2 + NUCLEON_MASS_MEV**2)
    b = ((p1[0] + p2[0]) / energy, (p1[1] + p2[1]) / energy, (p1[2] + p2[2]) / energy)
    gamma = 1 / math.sqrt(1 - b[0] ** 2 - b[1] ** 2 - b[2] ** 2)
    half = 0.5 * energy / gamma
    relative = 2 * (half**2 - NUCLEON_MASS_MEV**2) / NUCLEON_MASS_MEV
    if rng.random() * LARGEST_CROSS_SECTION_FM2 > IN_MEDIUM * cross_section_fm2(species == partner, relative):
        return False
    x, y, z, _ = boost(p1, e1, b, gamma, -1.0)
    star = math.sqrt(x * x + y * y + z * z)
    cosine = sample_cosine(species == partner, relative, rng)
    x, y, z = turn(x / star, y / star, z / star, cosine, 2 * math.pi * rng.random())
    after, after_partner = (star * x, star * y, star * z), (-star * x, -star * y, -star * z)
    x1, y1, z1, e1 = boost(after, half, b, gamma, 1.0)
    x2, y2, z2, e2 = boost(after_partner, half, b, gamma, 1.0)
    kinetic1, kinetic2 = e1 - NUCLEON_MASS_MEV, e2 - NUCLEON_MASS_MEV
    if kinetic1 < kinetic_energy(fermi) or kinetic2 < kinetic_energy(fermi_partner):
        return False
    other[:] = nucleon
    other[SPECIES] = partner
    set_motion(nucleon, kinetic1 - kinetic_energy(fermi) - BINDING_MEV, x1, y1, z1)
    set_motion(other, kinetic2 - kinetic_energy(fermi_partner) - BINDING_MEV, x2, y2, z2)
    return True


@jit
def set_motion(nucleon: np.ndarray, energy: float, x: float, y: float, z: float) -> None:
    """Set the energy and the direction of a nucleon."""
    length = math.sqrt(x * x + y * y + z * z)
    nucleon[ENERGY] = energy
    nucleon[U], nucleon[V], nucleon[W] = x / length, y / length, z / length


@jit
def cascade(inside: np.ndarray, waiting: int, free: np.ndarray, rng: np.random.Generator) -> tuple[int, int]:
    """Follow the first `waiting` nucleons and all they strike; how many left, in `free`, and how many collisions."""
    left, collisions = 0, 0
    nucleon = np.empty(8)
    while waiting > 0:
        waiting -= 1
        nucleon[:] = inside[waiting]
        while nucleon[ENERGY] > BOUND_MEV[int(nucleon[SPECIES])]:
            flight = rng.standard_exponential() / (CENTRAL_DENSITY * LARGEST_CROSS_SECTION_FM2)
            move(nucleon, flight)
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
def enter_nucleus(nucleon: np.ndarray, energy: float, u: float, v: float, w: float, rng: np.random.Generator) -> None:
    """Place a proton on the surface of the nucleus, uniformly over its cross-sectional area."""
    b = OUTSIDE_FM * math.sqrt(rng.random())
    x, y, z = turn(u, v, w, 0.0, 2 * math.pi * rng.random())
    back = math.sqrt(OUTSIDE_FM**2 - b * b)
    nucleon[SPECIES], nucleon[ENERGY] = PROTON_INSIDE, energy
    nucleon[X], nucleon[Y], nucleon[Z] = b * x - back * u, b * y - back * v, b * z - back * w
    nucleon[U], nucleon[V], nucleon[W] = u, v, w
