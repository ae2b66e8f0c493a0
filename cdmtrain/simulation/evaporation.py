"""An excited nucleus evaporates neutrons, protons, deuterons and alphas, and finally emits photons.

Weisskopf's evaporation (Phys. Rev. 52 (1937) 295) in the form of Dostrovsky, Fraenkel and Friedlander, Phys. Rev. 116
(1959) 683: a particle of spin s and mass number A, with separation energy S and barrier V, is emitted with the weight

    (2s+1) A U' exp(2 sqrt(a U')),   U' = U - S - V,   a = 1/9 per MeV and nucleon,

and the kinetic energy V + x, x distributed as x exp(-x/T), T = sqrt(U'/a). When no channel is open, photons carry away
the rest. Barriers and the binding of charged particles are adjusted to Geant4's Bertini cascade on argon.
"""

import math

import numpy as np

from cdmtrain.compiled import jit
from cdmtrain.simulation import argon
from cdmtrain.simulation.diffraction import ION_DENSITY
from cdmtrain.simulation.shower import Shower, deposit_here, push_isotropic

LEVEL_DENSITY = 40 / 9  # 1/MeV
# channels: neutron, proton, deuteron, alpha
PROTON_CHANNEL = 1
SPINS_AND_NUCLEONS = (2.0, 2.0, 6.0, 4.0)  # (2s+1) A
ARGON_BINDS_MEV = (10.5, 16.0, 8.0)  # of proton, deuteron, alpha
CHLORINE_BINDS_MEV = (10.0, 18.0, 9.0)  # the nucleus after a muon's capture: one neutron more, one proton less
# of the next neutron, from argon 40 and chlorine 40 on (Wang et al., Chin. Phys. C 45 (2021) 030003): neutrons pair
ARGON_NEUTRON_MEV = (9.87, 6.60, 11.84, 8.79, 15.26, 12.74)
CHLORINE_NEUTRON_MEV = (5.83, 8.07, 6.11, 10.31, 8.58, 12.64)
BARRIER_MEV = (0.0, 2.4, 2.5, 5.8)
LEAST_PHOTON_MEV = 0.12  # the lowest levels are so far apart


@jit
def draw_photon_mev(energy_mev: float, rng: np.random.Generator) -> float:
    """Energy of an electric dipole photon between dense levels: E^4 exp(-E/T), E below the excitation energy.

    Brink's E^2 sigma(E), with the giant resonance's sigma as E^2 far below it, times the density of the levels left.
    """
    temperature = math.sqrt(energy_mev / LEVEL_DENSITY)
    while True:
        if energy_mev > 2 * temperature:
            photon = temperature * rng.standard_gamma(5.0)
            if photon < energy_mev:
                return photon
        else:
            photon = energy_mev * rng.random() ** 0.2
            if rng.random() < math.exp(-photon / temperature):
                return photon


@jit
def emit_photons(shower: Shower, parent: np.ndarray, energy_mev: float, rng: np.random.Generator) -> None:
    """Emit photons, one after another, that carry this energy away."""
    while energy_mev > 0:
        photon = draw_photon_mev(energy_mev, rng) if energy_mev > LEAST_PHOTON_MEV else energy_mev
        if energy_mev - photon < LEAST_PHOTON_MEV:
            photon = energy_mev
        push_isotropic(shower, parent, argon.PHOTON, photon, rng)
        energy_mev -= photon


@jit
def draw_channel(
    excitation_mev: float,
    neutron_mev: float,
    binding_mev: tuple[float, ...],
    weight: np.ndarray,
    rng: np.random.Generator,
) -> int:
    """The channel of the next particle; -1 if none is open."""
    for n in range(weight.size):
        free = excitation_mev - (neutron_mev if n == 0 else binding_mev[n - 1]) - BARRIER_MEV[n]
        weight[n] = SPINS_AND_NUCLEONS[n] * free * math.exp(2 * math.sqrt(LEVEL_DENSITY * free)) if free > 0 else 0.0
    drawn = rng.random() * weight.sum()
    for n in range(weight.size):
        drawn -= weight[n]
        if drawn < 0:
            return n
    return -1


@jit
def evaporate(
    shower: Shower,
    parent: np.ndarray,
    excitation_mev: float,
    neutrons_mev: tuple[float, ...],
    lost: int,
    binding_mev: tuple[float, ...],
    rng: np.random.Generator,
) -> float:
    """Evaporate particles and photons; returns the part of the energy that is visible, MeV.

    `lost` neutrons have left before; `neutrons_mev` are the separation energies of the first, the second ...
    """
    seen, weight = 0.0, np.empty(4)
    while True:
        neutron_mev = neutrons_mev[min(lost, len(neutrons_mev) - 1)]
        which = draw_channel(excitation_mev, neutron_mev, binding_mev, weight, rng)
        if which < 0:
            break
        free = excitation_mev - (neutron_mev if which == 0 else binding_mev[which - 1]) - BARRIER_MEV[which]
        temperature, extra = math.sqrt(free / LEVEL_DENSITY), free + 1
        while extra > free:
            extra = temperature * (rng.standard_exponential() + rng.standard_exponential())
        kinetic = BARRIER_MEV[which] + extra
        if which == PROTON_CHANNEL:
            push_isotropic(shower, parent, argon.PROTON, kinetic, rng)
        elif which > PROTON_CHANNEL:
            deposit_here(shower, parent, kinetic, ION_DENSITY)
        lost += which == 0
        seen += kinetic if which > 0 else 0.0
        excitation_mev = free - extra
    emit_photons(shower, parent, excitation_mev, rng)
    return seen + excitation_mev
