"""Nuclei: proton reactions, and what a negative muon does at rest. Neutrons leave without a trace.

Reactions per cm: Letaw, Silberberg and Tsao, Astrophys. J. Suppl. 51 (1983) 271, with a Coulomb barrier; elastic
nuclear scatters are half as many. Products: a cascade of a few nucleons sharing what is left, in the directions
of free nucleon-nucleon scattering, then evaporation and photons. This part is a parametrisation, tuned to the
energy that protons of 150 to 250 MeV leave in Geant4; it makes no pions and ends at about 500 MeV.
Muon at rest: an atomic cascade, then decay (Michel's spectrum, 28 %, which is Geant4's share; measured about 25 %,
Suzuki, Measday, Roalsvig, Phys. Rev. C 35 (1987) 2212) or capture, a few MeV of photons and sometimes a proton.
"""

import math

import numpy as np
from numba import njit

from cdmtrain.simulation.argon import (
    ATOMIC_MASS,
    ATOMS_PER_CM3,
    ELECTRON,
    ELECTRON_MASS_MEV,
    MUON_MASS_MEV,
    PHOTON,
    PROTON,
    PROTON_MASS_MEV,
    STOP_MEV,
)
from cdmtrain.simulation.shower import KINETIC, Shower, X, Y, Z, deposit, push_isotropic, push_turned

ELASTIC_SHARE = 1 / 3
COULOMB_BARRIER_MEV = 7.0
DIFFRACTION_MEV2 = 88.0**2  # mean q^2 of an elastic nuclear scatter, 1/b with b = R^2/4, R = 4.5 fm
BINDING_MEV = 8.0  # a nucleon in argon
# knobs of the parametrisation
EXCITATION_SHARE, LEAST_EXCITATION_MEV = 0.12, 2.0
ONE_NUCLEON, CASCADE_PROTONS = 0.2, 0.6
EVAPORATED_CHARGED, EVAPORATED_ALPHAS, EVAPORATION_MARGIN_MEV = 0.5, 0.2, 3.0
PHOTON_SHARE = 0.85
DECAY_SHARE = 0.28
CAPTURE_PHOTONS_MEV, CAPTURE_PROTONS = 1.5, 0.30
ATOMIC_CASCADE_MEV = 0.88  # binding of the muon's 1s orbit, mostly one 2p-1s photon of 0.64 MeV
MICHEL_END_MEV = 52.83


def nuclear_rate(kinetic_mev: np.ndarray) -> np.ndarray:
    """Reactions and elastic nuclear scatters of a proton per cm."""
    size = 45 * ATOMIC_MASS**0.7 * (1 + 0.016 * math.sin(5.3 - 2.63 * math.log(ATOMIC_MASS)))
    wave = 1 - 0.62 * np.exp(-kinetic_mev / 200) * np.sin(10.9 * kinetic_mev**-0.28)
    barrier = 1 / (1 + np.exp(-(kinetic_mev - 1.5 * COULOMB_BARRIER_MEV) / 2.0))
    return size * 1e-27 * ATOMS_PER_CM3 * np.clip(wave, 0, None) * barrier / (1 - ELASTIC_SHARE)


@njit(cache=True, nogil=True)
def scatter_on_nucleus(kinetic_mev: float, rng: np.random.Generator) -> float:
    """Cosine of an elastic nuclear scatter: exp(-q^2 / <q^2>)."""
    momentum2 = kinetic_mev * (kinetic_mev + 2 * PROTON_MASS_MEV)
    return max(-1.0, 1 - DIFFRACTION_MEV2 * rng.standard_exponential() / (2 * momentum2))


@njit(cache=True, nogil=True)
def leave(shower: Shower, parent: np.ndarray, energy_mev: float, density_mev_cm: float) -> None:
    """Deposit where the particle is."""
    deposit(shower, parent[X], parent[Y], parent[Z], energy_mev, density_mev_cm)


@njit(cache=True, nogil=True)
def shine(shower: Shower, parent: np.ndarray, energy_mev: float, rng: np.random.Generator) -> None:
    """Nuclear photons that carry this energy away."""
    while energy_mev > 0:
        photon = min(energy_mev, 0.5 + 4.0 * rng.standard_exponential())
        push_isotropic(shower, parent, PHOTON, photon, rng)
        energy_mev -= photon


@njit(cache=True, nogil=True)
def evaporate(shower: Shower, parent: np.ndarray, excitation_mev: float, rng: np.random.Generator) -> float:
    """Neutrons, protons, alphas (left in place) and photons boiled off a nucleus; returns the energy not lost."""
    seen = 0.0
    while excitation_mev > BINDING_MEV + EVAPORATION_MARGIN_MEV:
        free = excitation_mev - BINDING_MEV
        kinetic = min(1.0 + 1.6 * (rng.standard_exponential() + rng.standard_exponential()), free)
        which = rng.random()
        if which < EVAPORATED_CHARGED:
            kinetic = min(kinetic + 3.0, free)
            if which < EVAPORATED_ALPHAS:
                leave(shower, parent, kinetic, 500.0)
            else:
                push_isotropic(shower, parent, PROTON, kinetic, rng)
            seen += kinetic
        excitation_mev -= BINDING_MEV + kinetic
    photons = PHOTON_SHARE * excitation_mev
    shine(shower, parent, photons, rng)
    return seen + photons


@njit(cache=True, nogil=True)
def react(shower: Shower, parent: np.ndarray, rng: np.random.Generator) -> None:
    """A proton's inelastic reaction: it ends, a few nucleons and photons come out."""
    kinetic = parent[KINETIC]
    excitation = min(kinetic, LEAST_EXCITATION_MEV + kinetic * EXCITATION_SHARE * rng.standard_exponential())
    free, seen = kinetic - excitation, 0.0
    nucleons = 1 if kinetic < 40 or rng.random() < ONE_NUCLEON else 2 + int(rng.random() * 2)
    for n in range(nucleons):
        cost = 0.0 if n == 0 else BINDING_MEV
        if free < cost + 2.0:
            break
        part = free - cost if n == nucleons - 1 else (free - cost) * rng.random() ** 0.7
        free -= part + cost
        if rng.random() < CASCADE_PROTONS and part > STOP_MEV[PROTON]:
            cosine = math.sqrt(part / kinetic) + 0.25 * rng.standard_normal()
            push_turned(shower, parent, PROTON, part, min(max(cosine, -1.0), 1.0), 2 * math.pi * rng.random())
            seen += part
    seen += evaporate(shower, parent, excitation, rng)
    shower.lost[0] += kinetic - seen


@njit(cache=True, nogil=True)
def muon_at_rest(shower: Shower, parent: np.ndarray, rng: np.random.Generator) -> None:
    """Atomic cascade, then decay or capture; the rest mass of the muon is what it has to give."""
    seen = ATOMIC_CASCADE_MEV
    push_isotropic(shower, parent, PHOTON, 0.64, rng)
    push_isotropic(shower, parent, PHOTON, ATOMIC_CASCADE_MEV - 0.64, rng)
    if rng.random() < DECAY_SHARE:
        x = rng.random()
        while rng.random() > x * x * (3 - 2 * x):
            x = rng.random()
        kinetic = max(x * MICHEL_END_MEV - ELECTRON_MASS_MEV, STOP_MEV[ELECTRON])
        push_isotropic(shower, parent, ELECTRON, kinetic, rng)
        seen += kinetic
    else:
        photons = 0.5 + CAPTURE_PHOTONS_MEV * (rng.standard_exponential() + rng.standard_exponential())
        shine(shower, parent, photons, rng)
        seen += photons
        if rng.random() < CAPTURE_PROTONS:
            kinetic = 1.6 + 3.5 * rng.standard_exponential()
            push_isotropic(shower, parent, PROTON, kinetic, rng)
            seen += kinetic
    shower.lost[0] += MUON_MASS_MEV - seen
