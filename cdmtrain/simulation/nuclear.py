"""Nuclei: proton reactions, and what a negative muon does at rest. Neutrons leave without a trace.

Reactions per cm: Letaw, Silberberg and Tsao, Astrophys. J. Suppl. 51 (1983) 271, with a Coulomb barrier; elastic
nuclear scatters are half as many. A reaction is a cascade of nucleons (cascade.py), then evaporation (evaporation.py);
up to about 400 MeV, since no pions are made. Deuterons, alphas and the nucleus stop where they start.
Muon at rest: down the levels of muonic argon by photons or electrons, then capture on a proton of the nucleus, or decay
(26 %: Suzuki, Measday, Roalsvig, Phys. Rev. C 35 (1987) 2212) with Michel's spectrum seen from the orbit's motion.
"""

import math

import numpy as np

from cdmtrain.compiled import jit
from cdmtrain.simulation.argon import (
    ATOMIC_MASS,
    ATOMIC_NUMBER,
    ATOMS_PER_CM3,
    ELECTRON,
    ELECTRON_MASS_MEV,
    FINE_STRUCTURE,
    MUON_MASS_MEV,
    PHOTON,
    PROTON,
    PROTON_MASS_MEV,
)
from cdmtrain.simulation.cascade import (
    BINDING_MEV,
    ENERGY,
    LARGEST_CASCADE,
    MUON_BINDING_MEV,
    PROTON_INSIDE,
    SORT,
    absorb_on_pair,
    absorb_on_proton,
    cascade,
    enter,
)
from cdmtrain.simulation.evaporation import ARGON_BINDS_MEV, CHLORINE_BINDS_MEV, ION_DENSITY, evaporate
from cdmtrain.simulation.shower import KINETIC, Shower, U, V, W, X, Y, Z, deposit, push, push_isotropic

ELASTIC_SHARE = 1 / 3
COULOMB_BARRIER_MEV = 7.0
DIFFRACTION_MEV2 = 88.0**2  # mean q^2 of an elastic nuclear scatter, 1/b with b = R^2/4, R = 4.5 fm
NUCLEUS_MASS_MEV = 37200.0
DECAY_SHARE = 0.262
PAIR_SHARE = 0.62  # of captures, on two nucleons: as in Geant4; the neutrons that are measured ask for fewer
MICHEL_END_MEV = 52.83
ORBIT_MOMENTUM_MEV = ATOMIC_NUMBER * FINE_STRUCTURE * MUON_MASS_MEV
MUONIC_LEVEL_MEV = (MUON_BINDING_MEV, 0.2225, 0.0963, 0.0521, 0.0317)  # binding of n = 1, 2, ...
NEXT_LEVEL_SHARE, AUGER_SHARE = 0.75, 0.05  # of the steps down: to the level below; by an electron


def nuclear_rate(kinetic_mev: np.ndarray) -> np.ndarray:
    """Reactions and elastic nuclear scatters of a proton per cm."""
    size = 45 * ATOMIC_MASS**0.7 * (1 + 0.016 * math.sin(5.3 - 2.63 * math.log(ATOMIC_MASS)))
    wave = 1 - 0.62 * np.exp(-kinetic_mev / 200) * np.sin(10.9 * kinetic_mev**-0.28)
    barrier = 1 / (1 + np.exp(-(kinetic_mev - 1.5 * COULOMB_BARRIER_MEV) / 2.0))
    return size * 1e-27 * ATOMS_PER_CM3 * np.clip(wave, 0, None) * barrier / (1 - ELASTIC_SHARE)


@jit
def scatter_on_nucleus(kinetic_mev: float, rng: np.random.Generator) -> float:
    """Cosine of an elastic nuclear scatter: exp(-q^2 / <q^2>)."""
    momentum2 = kinetic_mev * (kinetic_mev + 2 * PROTON_MASS_MEV)
    return max(-1.0, 1 - DIFFRACTION_MEV2 * rng.standard_exponential() / (2 * momentum2))


@jit
def leave(shower: Shower, parent: np.ndarray, energy_mev: float, density_mev_cm: float) -> None:
    """Deposit where the particle is."""
    deposit(shower, parent[X], parent[Y], parent[Z], energy_mev, density_mev_cm)


@jit
def give_off(shower: Shower, parent: np.ndarray, free: np.ndarray, left: int) -> float:
    """Follow the protons among the nucleons that left the nucleus, as the neutrons go; the energy seen."""
    seen = 0.0
    for n in range(left):
        if free[n, SORT] == PROTON_INSIDE:
            push(shower, PROTON, free[n, ENERGY], parent[X], parent[Y], parent[Z], free[n, U], free[n, V], free[n, W])
            seen += free[n, ENERGY]
    return seen


@jit
def recoil(parent: np.ndarray, free: np.ndarray, left: int) -> float:
    """Kinetic energy of the nucleus that a proton hit, from the momenta of what left it."""
    x, y, z = 0.0, 0.0, 0.0
    for n in range(left + 1):
        kinetic = parent[KINETIC] if n == left else free[n, ENERGY]
        momentum = math.sqrt(kinetic * (kinetic + 2 * PROTON_MASS_MEV))
        row = parent if n == left else free[n]
        sign = 1.0 if n == left else -1.0
        x += sign * momentum * row[U]
        y += sign * momentum * row[V]
        z += sign * momentum * row[W]
    return (x * x + y * y + z * z) / (2 * NUCLEUS_MASS_MEV)


@jit
def react(shower: Shower, parent: np.ndarray, rng: np.random.Generator) -> None:
    """A proton's inelastic reaction: it ends, nucleons, an excited nucleus and its recoil come out."""
    kinetic, left, collisions = parent[KINETIC], 0, 0
    inside, free = np.empty((LARGEST_CASCADE, 8)), np.empty((LARGEST_CASCADE, 8))
    while collisions == 0:
        enter(inside[0], kinetic, parent[U], parent[V], parent[W], rng)
        left, collisions = cascade(inside, 1, free, rng)
    carried = free[:left, ENERGY].sum()
    struck = min(recoil(parent, free, left), kinetic - carried)
    excitation = max(kinetic - carried - struck - BINDING_MEV * (left - 1), 0.0)
    leave(shower, parent, struck, ION_DENSITY)
    seen = struck + give_off(shower, parent, free, left)
    seen += evaporate(shower, parent, excitation, ARGON_BINDS_MEV, rng)
    shower.lost[0] += kinetic - seen


@jit
def descend(shower: Shower, parent: np.ndarray, rng: np.random.Generator) -> None:
    """A muon's steps down to the lowest orbit, mostly to the next one and by a photon."""
    level = len(MUONIC_LEVEL_MEV) - 1
    leave(shower, parent, MUONIC_LEVEL_MEV[level], 10.0)
    while level > 0:
        lower = level - 1 if rng.random() < NEXT_LEVEL_SHARE else int(rng.random() * level)
        energy = MUONIC_LEVEL_MEV[lower] - MUONIC_LEVEL_MEV[level]
        if rng.random() < AUGER_SHARE:
            push_isotropic(shower, parent, ELECTRON, energy, rng)
        else:
            push_isotropic(shower, parent, PHOTON, energy, rng)
        level = lower


@jit
def decay_electron_mev(rng: np.random.Generator) -> float:
    """Michel's spectrum x^2 (3 - 2x), from a muon that moves in the 1s orbit: p^2 / (p^2 + p_0^2)^4."""
    x = rng.random()
    while rng.random() > x * x * (3 - 2 * x):
        x = rng.random()
    angle = 0.5 * math.pi * rng.random()  # p = p_0 tan(angle)
    while 0.1482 * rng.random() > math.sin(angle) ** 2 * math.cos(angle) ** 4:
        angle = 0.5 * math.pi * rng.random()
    momentum = ORBIT_MOMENTUM_MEV * math.tan(angle)
    energy = math.sqrt(momentum**2 + MUON_MASS_MEV**2)
    moved = x * MICHEL_END_MEV * (energy + momentum * (2 * rng.random() - 1)) / MUON_MASS_MEV
    return max(moved - MUON_BINDING_MEV - ELECTRON_MASS_MEV, 0.0)


@jit
def capture(shower: Shower, parent: np.ndarray, rng: np.random.Generator) -> float:
    """mu- p -> n nu in the nucleus, which its neutron leaves or heats; the energy seen."""
    inside, free = np.empty((LARGEST_CASCADE, 8)), np.empty((LARGEST_CASCADE, 8))
    on_pair = rng.random() < PAIR_SHARE
    shared = absorb_on_pair(inside, rng) if on_pair else absorb_on_proton(inside[0], rng)
    left, _ = cascade(inside, 2 if on_pair else 1, free, rng)
    seen = give_off(shower, parent, free, left)
    carried = free[:left, ENERGY].sum()
    struck = ((MUON_MASS_MEV - shared) ** 2 + 2 * PROTON_MASS_MEV * carried) / (2 * NUCLEUS_MASS_MEV)
    leave(shower, parent, struck, ION_DENSITY)
    seen += struck
    excitation = shared - carried - BINDING_MEV * left
    return seen + evaporate(shower, parent, max(excitation, 0.0), CHLORINE_BINDS_MEV, rng)


@jit
def muon_at_rest(shower: Shower, parent: np.ndarray, rng: np.random.Generator) -> None:
    """Down to the lowest orbit, then decay or capture; the rest mass of the muon is what it has to give."""
    descend(shower, parent, rng)
    if rng.random() < DECAY_SHARE:
        seen = decay_electron_mev(rng)
        push_isotropic(shower, parent, ELECTRON, seen, rng)
    else:
        seen = capture(shower, parent, rng)
    shower.lost[0] += MUON_MASS_MEV - MUON_BINDING_MEV - seen
