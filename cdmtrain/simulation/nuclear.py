"""Proton reactions with nuclei, and the fate of a negative muon at rest. Neutrons leave without a trace.

Reactions per cm: Letaw, Silberberg and Tsao, Astrophys. J. Suppl. 51 (1983) 271, with a Coulomb barrier. A reaction
is a cascade of nucleons (cascade.py), then evaporation (evaporation.py), valid to about 400 MeV, since no pions are
made. Deuterons, alphas and the nucleus stop where they start. Elastic scatters: diffraction.py. Muon at rest: it
descends the levels of muonic argon by emitting photons or electrons, with the branching of Geant4's Physics Reference
Manual (capture of negative muons), then is captured by the nucleus (absorption.py) or decays (26 %: Suzuki, Measday,
Roalsvig, Phys. Rev. C 35 (1987) 2212) with Michel's spectrum, Doppler-shifted by the motion in the orbit.
"""

import math

import numpy as np

from cdmtrain.compiled import jit
from cdmtrain.simulation import argon, cascade
from cdmtrain.simulation.absorption import MUON_BINDING_MEV, absorb_on_pair, absorb_on_proton
from cdmtrain.simulation.diffraction import ION_DENSITY, NUCLEUS_MASS_MEV
from cdmtrain.simulation.evaporation import (
    ARGON_BINDS_MEV,
    ARGON_NEUTRON_MEV,
    CHLORINE_BINDS_MEV,
    CHLORINE_NEUTRON_MEV,
    evaporate,
)
from cdmtrain.simulation.shower import KINETIC, Shower, U, V, W, X, Y, Z, deposit_here, push, push_isotropic

COULOMB_BARRIER_MEV = 7.0
DECAY_SHARE = 0.262
PAIR_SHARE = 0.62  # of captures, on two nucleons: as in Geant4; measured neutrons suggest fewer
MICHEL_END_MEV = 52.83
MUON_REDUCED_MASS_MEV = argon.MUON_MASS_MEV / (1 + argon.MUON_MASS_MEV / NUCLEUS_MASS_MEV)
BOHR_MEV = 0.5 * MUON_REDUCED_MASS_MEV * (argon.ATOMIC_NUMBER * argon.FINE_STRUCTURE) ** 2
ORBIT_MOMENTUM_MEV = argon.ATOMIC_NUMBER * argon.FINE_STRUCTURE * argon.MUON_MASS_MEV
HIGHEST_LEVEL = 14  # as wide as the orbit of a K electron
NEXT_LEVEL_WEIGHT, AUGER_SHARE = 10, 0.10  # of transitions: the others weigh 1; by emitting an electron


def reaction_rate(kinetic_mev: np.ndarray) -> np.ndarray:
    """Reactions of a proton per cm."""
    size = 45 * argon.ATOMIC_MASS**0.7 * (1 + 0.016 * math.sin(5.3 - 2.63 * math.log(argon.ATOMIC_MASS)))
    wave = 1 - 0.62 * np.exp(-kinetic_mev / 200) * np.sin(10.9 * kinetic_mev**-0.28)
    barrier = 1 / (1 + np.exp(-(kinetic_mev - 1.5 * COULOMB_BARRIER_MEV) / 2.0))
    return size * 1e-27 * argon.ATOMS_PER_CM3 * np.clip(wave, 0, None) * barrier


@jit
def emit_protons(shower: Shower, parent: np.ndarray, free: np.ndarray, left: int) -> float:
    """Push the protons among the nucleons that left the nucleus; neutrons are not followed. Returns the energy, MeV."""
    seen = 0.0
    for n in range(left):
        if free[n, cascade.SPECIES] == cascade.PROTON_INSIDE:
            kinetic, u, v, w = free[n, cascade.ENERGY], free[n, U], free[n, V], free[n, W]
            push(shower, argon.PROTON, kinetic, parent[X], parent[Y], parent[Z], u, v, w)
            seen += kinetic
    return seen


@jit
def count_protons(free: np.ndarray, left: int) -> int:
    """How many of the nucleons that left are protons."""
    return int((free[:left, cascade.SPECIES] == cascade.PROTON_INSIDE).sum())


@jit
def recoil_energy(parent: np.ndarray, free: np.ndarray, left: int) -> float:
    """Kinetic energy of the nucleus that a proton struck, from the momenta of the nucleons that left it, MeV."""
    x, y, z = 0.0, 0.0, 0.0
    for n in range(left + 1):
        kinetic = parent[KINETIC] if n == left else free[n, cascade.ENERGY]
        momentum = math.sqrt(kinetic * (kinetic + 2 * argon.PROTON_MASS_MEV))
        row = parent if n == left else free[n]
        sign = 1.0 if n == left else -1.0
        x += sign * momentum * row[U]
        y += sign * momentum * row[V]
        z += sign * momentum * row[W]
    return (x * x + y * y + z * z) / (2 * NUCLEUS_MASS_MEV)


@jit
def react(shower: Shower, parent: np.ndarray, rng: np.random.Generator) -> None:
    """A proton's inelastic reaction: the proton ends; nucleons, an excited nucleus and its recoil come out."""
    kinetic, left, collisions = parent[KINETIC], 0, 0
    inside, free = np.empty((cascade.LARGEST_CASCADE, 8)), np.empty((cascade.LARGEST_CASCADE, 8))
    while collisions == 0:
        cascade.enter_nucleus(inside[0], kinetic, parent[U], parent[V], parent[W], rng)
        left, collisions = cascade.cascade(inside, 1, free, rng)
    carried = free[:left, cascade.ENERGY].sum()
    recoil_mev = min(recoil_energy(parent, free, left), kinetic - carried)
    excitation = max(kinetic - carried - recoil_mev - cascade.BINDING_MEV * (left - 1), 0.0)
    deposit_here(shower, parent, recoil_mev, ION_DENSITY)
    seen = recoil_mev + emit_protons(shower, parent, free, left)
    lost = left - count_protons(free, left)
    seen += evaporate(shower, parent, excitation, ARGON_NEUTRON_MEV, lost, ARGON_BINDS_MEV, rng)
    shower.lost[0] += kinetic - seen


@jit
def level_mev(level: int) -> float:
    """Binding of a muon in the level n = 1, 2, ... of argon: Bohr's; less in the first, inside the nucleus."""
    return MUON_BINDING_MEV if level == 1 else BOHR_MEV / level**2


@jit
def descend(shower: Shower, parent: np.ndarray, rng: np.random.Generator) -> None:
    """A muon's transitions to the lowest orbit, mostly to the next level and by emitting a photon."""
    level = HIGHEST_LEVEL
    deposit_here(shower, parent, level_mev(level), 10.0)
    while level > 1:
        drawn = int(rng.random() * (NEXT_LEVEL_WEIGHT + level - 2))
        lower = level - 1 if drawn >= level - 2 else 1 + drawn
        kind = argon.ELECTRON if rng.random() < AUGER_SHARE else argon.PHOTON
        push_isotropic(shower, parent, kind, level_mev(lower) - level_mev(level), rng)
        level = lower


@jit
def decay_electron_mev(rng: np.random.Generator) -> float:
    """Energy from Michel's spectrum x^2 (3 - 2x), for a muon in the 1s orbit: p^2 / (p^2 + p_0^2)^4."""
    x = rng.random()
    while rng.random() > x * x * (3 - 2 * x):
        x = rng.random()
    angle = 0.5 * math.pi * rng.random()  # p = p_0 tan(angle)
    while 0.1482 * rng.random() > math.sin(angle) ** 2 * math.cos(angle) ** 4:
        angle = 0.5 * math.pi * rng.random()
    momentum = ORBIT_MOMENTUM_MEV * math.tan(angle)
    energy = math.sqrt(momentum**2 + argon.MUON_MASS_MEV**2)
    moved = x * MICHEL_END_MEV * (energy + momentum * (2 * rng.random() - 1)) / argon.MUON_MASS_MEV
    return max(moved - MUON_BINDING_MEV - argon.ELECTRON_MASS_MEV, 0.0)


@jit
def capture(shower: Shower, parent: np.ndarray, rng: np.random.Generator) -> float:
    """Capture of a muon by the nucleus, and everything that leaves it; returns the visible energy, MeV."""
    inside, free = np.empty((cascade.LARGEST_CASCADE, 8)), np.empty((cascade.LARGEST_CASCADE, 8))
    on_pair = rng.random() < PAIR_SHARE
    shared = absorb_on_pair(inside, rng) if on_pair else absorb_on_proton(inside[0], rng)
    left, _ = cascade.cascade(inside, 2 if on_pair else 1, free, rng)
    seen = emit_protons(shower, parent, free, left)
    carried = free[:left, cascade.ENERGY].sum()
    recoil_mev = ((argon.MUON_MASS_MEV - shared) ** 2 + 2 * argon.PROTON_MASS_MEV * carried) / (2 * NUCLEUS_MASS_MEV)
    deposit_here(shower, parent, recoil_mev, ION_DENSITY)
    seen += recoil_mev
    excitation = shared - carried - cascade.BINDING_MEV * left
    lost = left - count_protons(free, left)
    return seen + evaporate(shower, parent, max(excitation, 0.0), CHLORINE_NEUTRON_MEV, lost, CHLORINE_BINDS_MEV, rng)


@jit
def muon_at_rest(shower: Shower, parent: np.ndarray, rng: np.random.Generator) -> None:
    """Descend to the lowest orbit, then decay or be captured; the energy comes from the muon's rest mass."""
    descend(shower, parent, rng)
    if rng.random() < DECAY_SHARE:
        seen = decay_electron_mev(rng)
        push_isotropic(shower, parent, argon.ELECTRON, seen, rng)
    else:
        seen = capture(shower, parent, rng)
    shower.lost[0] += argon.MUON_MASS_MEV - MUON_BINDING_MEV - seen
