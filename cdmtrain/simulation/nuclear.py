"""Proton reactions with nuclei, and the fate of a negative muon at rest. Neutrons leave without a trace.

Reactions per cm: Letaw, Silberberg and Tsao, Astrophys. J. Suppl. 51 (1983) 271, with a Coulomb barrier; elastic
nuclear scatters are half as frequent. A reaction is a cascade of nucleons (cascade.py), then evaporation,
valid to about 400 MeV, since no pions are made. Deuterons, alphas and the nucleus stop where they
start. Muon at rest: it descends the levels of muonic argon by emitting photons or electrons, then is captured by the
nucleus (absorption.py) or decays (26 %: Suzuki, Measday, Roalsvig, Phys. Rev. C 35 (1987) 2212) with Michel's
spectrum, Doppler-shifted by the motion in the orbit.

De-excitation of a nucleus: it evaporates neutrons, protons, deuterons and alphas, and finally emits photons.

Weisskopf's evaporation (Phys. Rev. 52 (1937) 295) in the form of Dostrovsky, Fraenkel and Friedlander, Phys. Rev. 116
(1959) 683: a particle of spin s and mass number A, with separation energy S and barrier V, is emitted with the weight

    (2s+1) A U' exp(2 sqrt(a U')),   U' = U - S - V,   a = 1/9 per MeV and nucleon,

and the kinetic energy V + x, x distributed as x exp(-x/T), T = sqrt(U'/a). When no channel is open, photons carry away
the rest. Barriers, separation energies and the photon spectrum are adjusted to Geant4's Bertini cascade on argon.
"""

import math

import numpy as np

from cdmtrain.compiled import jit
from cdmtrain.simulation import argon, cascade
from cdmtrain.simulation.absorption import MUON_BINDING_MEV, absorb_on_pair, absorb_on_proton
from cdmtrain.simulation.shower import KINETIC, Shower, U, V, W, X, Y, Z, deposit_here, push, push_isotropic

ELASTIC_SHARE = 1 / 3
COULOMB_BARRIER_MEV = 7.0
DIFFRACTION_MEV2 = 88.0**2  # mean q^2 of an elastic nuclear scatter, 1/b with b = R^2/4, R = 4.5 fm
NUCLEUS_MASS_MEV = 37200.0
DECAY_SHARE = 0.262
PAIR_SHARE = 0.62  # of captures, on two nucleons: as in Geant4; measured neutrons suggest fewer
MICHEL_END_MEV = 52.83
ORBIT_MOMENTUM_MEV = argon.ATOMIC_NUMBER * argon.FINE_STRUCTURE * argon.MUON_MASS_MEV
MUONIC_LEVEL_MEV = (MUON_BINDING_MEV, 0.2225, 0.0963, 0.0521, 0.0317)  # binding of n = 1, 2, ...
NEXT_LEVEL_SHARE, AUGER_SHARE = 0.75, 0.05  # of transitions: to the next level; by emitting an electron
LEVEL_DENSITY = 40 / 9  # 1/MeV
# channels: neutron, proton, deuteron, alpha
PROTON_CHANNEL = 1
SPINS_AND_NUCLEONS = (2.0, 2.0, 6.0, 4.0)  # (2s+1) A
ARGON_BINDS_MEV = (9.0, 8.0, 16.0, 8.0)
CHLORINE_BINDS_MEV = (7.8, 10.0, 18.0, 9.0)  # the nucleus after a muon's capture: one neutron more, one proton less
BARRIER_MEV = (0.0, 2.4, 2.5, 5.8)
ION_DENSITY = 500.0  # MeV/cm
LEAST_PHOTON_MEV = 0.35


def nuclear_rate(kinetic_mev: np.ndarray) -> np.ndarray:
    """Reactions and elastic nuclear scatters of a proton per cm."""
    size = 45 * argon.ATOMIC_MASS**0.7 * (1 + 0.016 * math.sin(5.3 - 2.63 * math.log(argon.ATOMIC_MASS)))
    wave = 1 - 0.62 * np.exp(-kinetic_mev / 200) * np.sin(10.9 * kinetic_mev**-0.28)
    barrier = 1 / (1 + np.exp(-(kinetic_mev - 1.5 * COULOMB_BARRIER_MEV) / 2.0))
    return size * 1e-27 * argon.ATOMS_PER_CM3 * np.clip(wave, 0, None) * barrier / (1 - ELASTIC_SHARE)


@jit
def scatter_on_nucleus(kinetic_mev: float, rng: np.random.Generator) -> float:
    """Cosine of an elastic nuclear scatter, distributed as exp(-q^2 / <q^2>)."""
    momentum2 = kinetic_mev * (kinetic_mev + 2 * argon.PROTON_MASS_MEV)
    return max(-1.0, 1 - DIFFRACTION_MEV2 * rng.standard_exponential() / (2 * momentum2))


@jit
def emit_photons(shower: Shower, parent: np.ndarray, energy_mev: float, rng: np.random.Generator) -> None:
    """Emit photons that carry this energy away; each mostly takes the larger part of what is left."""
    while energy_mev > 0:
        photon = energy_mev
        if energy_mev > LEAST_PHOTON_MEV:
            photon *= rng.random() ** 0.25
        push_isotropic(shower, parent, argon.PHOTON, photon, rng)
        energy_mev -= photon


@jit
def draw_channel(
    excitation_mev: float, binding_mev: tuple[float, ...], weight: np.ndarray, rng: np.random.Generator
) -> int:
    """The channel of the next particle; -1 if none is open."""
    for n in range(weight.size):
        free = excitation_mev - binding_mev[n] - BARRIER_MEV[n]
        weight[n] = SPINS_AND_NUCLEONS[n] * free * math.exp(2 * math.sqrt(LEVEL_DENSITY * free)) if free > 0 else 0.0
    drawn = rng.random() * weight.sum()
    for n in range(weight.size):
        drawn -= weight[n]
        if drawn < 0:
            return n
    return -1


@jit
def evaporate(
    shower: Shower, parent: np.ndarray, excitation_mev: float, binding_mev: tuple[float, ...], rng: np.random.Generator
) -> float:
    """Evaporate particles and photons; returns the part of the energy that is visible, MeV."""
    seen, weight = 0.0, np.empty(4)
    which = draw_channel(excitation_mev, binding_mev, weight, rng)
    while which >= 0:
        free = excitation_mev - binding_mev[which] - BARRIER_MEV[which]
        temperature, extra = math.sqrt(free / LEVEL_DENSITY), free + 1
        while extra > free:
            extra = temperature * (rng.standard_exponential() + rng.standard_exponential())
        kinetic = BARRIER_MEV[which] + extra
        if which == PROTON_CHANNEL:
            push_isotropic(shower, parent, argon.PROTON, kinetic, rng)
        elif which > PROTON_CHANNEL:
            deposit_here(shower, parent, kinetic, ION_DENSITY)
        if which >= PROTON_CHANNEL:
            seen += kinetic
        excitation_mev = free - extra
        which = draw_channel(excitation_mev, binding_mev, weight, rng)
    emit_photons(shower, parent, excitation_mev, rng)
    return seen + excitation_mev


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
    seen += evaporate(shower, parent, excitation, ARGON_BINDS_MEV, rng)
    shower.lost[0] += kinetic - seen


@jit
def descend(shower: Shower, parent: np.ndarray, rng: np.random.Generator) -> None:
    """A muon's transitions to the lowest orbit, mostly to the next level and by emitting a photon."""
    level = len(MUONIC_LEVEL_MEV) - 1
    deposit_here(shower, parent, MUONIC_LEVEL_MEV[level], 10.0)
    while level > 0:
        lower = level - 1 if rng.random() < NEXT_LEVEL_SHARE else int(rng.random() * level)
        energy = MUONIC_LEVEL_MEV[lower] - MUONIC_LEVEL_MEV[level]
        kind = argon.ELECTRON if rng.random() < AUGER_SHARE else argon.PHOTON
        push_isotropic(shower, parent, kind, energy, rng)
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
    return seen + evaporate(shower, parent, max(excitation, 0.0), CHLORINE_BINDS_MEV, rng)


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
