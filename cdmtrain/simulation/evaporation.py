"""De-excitation of a nucleus: it evaporates neutrons, protons, deuterons and alphas, and finally emits photons.

Weisskopf's evaporation (Phys. Rev. 52 (1937) 295) in the form of Dostrovsky, Fraenkel and Friedlander, Phys. Rev. 116
(1959) 683: a particle of spin s and mass number A, with separation energy S and barrier V, is emitted with the weight

    (2s+1) A U' exp(2 sqrt(a U')),   U' = U - S - V,   a = 1/9 per MeV and nucleon,

and the kinetic energy V + x, x distributed as x exp(-x/T), T = sqrt(U'/a). When no channel is open, photons carry away
the rest. Barriers, separation energies and the photon spectrum are adjusted to Geant4's Bertini cascade on argon.
"""

import math

import numpy as np

from cdmtrain.compiled import jit
from cdmtrain.simulation.argon import PHOTON, PROTON
from cdmtrain.simulation.shower import Shower, X, Y, Z, deposit, push_isotropic

LEVEL_DENSITY = 40 / 9  # 1/MeV
# channels: neutron, proton, deuteron, alpha
PROTON_CHANNEL = 1
SPINS_AND_NUCLEONS = (2.0, 2.0, 6.0, 4.0)  # (2s+1) A
ARGON_BINDS_MEV = (9.0, 8.0, 16.0, 8.0)
CHLORINE_BINDS_MEV = (7.8, 10.0, 18.0, 9.0)  # the nucleus after a muon's capture: one neutron more, one proton less
BARRIER_MEV = (0.0, 2.4, 2.5, 5.8)
ION_DENSITY = 500.0  # MeV/cm
LEAST_PHOTON_MEV = 0.35


@jit
def emit_photons(shower: Shower, parent: np.ndarray, energy_mev: float, rng: np.random.Generator) -> None:
    """Emit photons that carry this energy away; each mostly takes the larger part of what is left."""
    while energy_mev > 0:
        photon = energy_mev
        if energy_mev > LEAST_PHOTON_MEV:
            photon *= rng.random() ** 0.25
        push_isotropic(shower, parent, PHOTON, photon, rng)
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
            push_isotropic(shower, parent, PROTON, kinetic, rng)
        elif which > PROTON_CHANNEL:
            deposit(shower, parent[X], parent[Y], parent[Z], kinetic, ION_DENSITY)
        if which >= PROTON_CHANNEL:
            seen += kinetic
        excitation_mev = free - extra
        which = draw_channel(excitation_mev, binding_mev, weight, rng)
    emit_photons(shower, parent, excitation_mev, rng)
    return seen + excitation_mev
