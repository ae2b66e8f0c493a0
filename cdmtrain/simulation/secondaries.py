"""Particles that a charged particle makes: delta rays, bremsstrahlung photons and annihilation photons.

Delta rays: Moller's cross section for electrons and positrons, that of a spin 1/2 particle for muons and protons (see
ionisation.py). Bremsstrahlung: see radiation.py. Annihilation in flight: Heitler's cross section.
"""

import math

import numpy as np

from cdmtrain.compiled import jit
from cdmtrain.simulation.argon import (
    DELTA_RAY_MEV,
    ELECTRON,
    ELECTRON_MASS_MEV,
    ELECTRON_RADIUS_CM,
    ELECTRONS_PER_CM3,
    MASS_MEV,
    PHOTON,
    POSITRON,
)
from cdmtrain.simulation.radiation import sample_photon_mev, sample_small_angle
from cdmtrain.simulation.shower import KINETIC, TWO_PI, Shower, change_direction, push_turned


@jit
def sample_transfer(
    kinetic_mev: float, mass_mev: float, light: bool, low_mev: float, high_mev: float, rng: np.random.Generator
) -> float:
    """Energy transferred to an atomic electron, between two bounds: 1/T^2 with Moller's or the spin 1/2 factor, MeV."""
    gamma = 1 + kinetic_mev / mass_mev
    ratio = ELECTRON_MASS_MEV / mass_mev
    top = 2 * ELECTRON_MASS_MEV * (gamma * gamma - 1) / (1 + 2 * gamma * ratio + ratio * ratio)
    if light:
        top = kinetic_mev / 2
    high = min(high_mev, top)
    if high <= low_mev:
        return 0.0
    beta2, energy = 1 - 1 / (gamma * gamma), gamma * mass_mev
    while True:
        transfer = 1 / (1 / low_mev + rng.random() * (1 / high - 1 / low_mev))
        if light:
            x = transfer / kinetic_mev
            other = x / (1 - x)
            g = (gamma - 1) / gamma
            shape = (1 + g * g * x * x + other * other - (2 * gamma - 1) / (gamma * gamma) * other) / (2 + g * g / 4)
        else:
            shape = (1 - beta2 * transfer / top + transfer * transfer / (2 * energy * energy)) / (
                1 + top * top / (2 * energy * energy)
            )
        if rng.random() < shape:
            return transfer


@jit
def knock_on(shower: Shower, particle: np.ndarray, kind: int, rng: np.random.Generator) -> None:
    """Make a delta ray that is followed; both directions follow from two-body kinematics."""
    kinetic, mass = particle[KINETIC], MASS_MEV[kind]
    transfer = sample_transfer(kinetic, mass, kind in (ELECTRON, POSITRON), DELTA_RAY_MEV, kinetic, rng)
    if transfer == 0.0:
        return
    momentum = math.sqrt(kinetic * (kinetic + 2 * mass))
    knocked = math.sqrt(transfer * (transfer + 2 * ELECTRON_MASS_MEV))
    cosine = min(transfer * (kinetic + mass + ELECTRON_MASS_MEV) / (knocked * momentum), 1.0)
    azimuth = TWO_PI * rng.random()
    push_turned(shower, particle, ELECTRON, transfer, cosine, azimuth)
    along, across = momentum - knocked * cosine, knocked * math.sqrt(1 - cosine * cosine)
    change_direction(particle, along / math.sqrt(along * along + across * across), azimuth + math.pi)
    particle[KINETIC] = kinetic - transfer


@jit
def radiate(shower: Shower, particle: np.ndarray, rng: np.random.Generator) -> None:
    """Emit one bremsstrahlung photon above the cut."""
    photon = sample_photon_mev(particle[KINETIC], rng)
    cosine = sample_small_angle(particle[KINETIC] + ELECTRON_MASS_MEV, rng)
    push_turned(shower, particle, PHOTON, photon, cosine, TWO_PI * rng.random())
    particle[KINETIC] -= photon


@jit
def annihilation_rate(gamma: float) -> float:
    """Annihilations in flight per cm (Heitler)."""
    root = math.sqrt(gamma * gamma - 1)
    shape = (gamma * gamma + 4 * gamma + 1) / (gamma * gamma - 1) * math.log(gamma + root) - (gamma + 3) / root
    return ELECTRONS_PER_CM3 * math.pi * ELECTRON_RADIUS_CM**2 / (gamma + 1) * shape


@jit
def annihilate(shower: Shower, particle: np.ndarray, rng: np.random.Generator) -> None:
    """Make two photons, in flight (Heitler's energy sharing) or at rest (511 keV each, back to back)."""
    kinetic = particle[KINETIC]
    if kinetic <= 0:
        cosine, azimuth = 2 * rng.random() - 1, TWO_PI * rng.random()
        push_turned(shower, particle, PHOTON, ELECTRON_MASS_MEV, cosine, azimuth)
        push_turned(shower, particle, PHOTON, ELECTRON_MASS_MEV, -cosine, azimuth + math.pi)
        return
    tau = kinetic / ELECTRON_MASS_MEV
    gamma, root = tau + 1, 0.5 * math.sqrt(tau / (tau + 2))
    low, high = 0.5 - root, 0.5 + root
    while True:
        share = low * (high / low) ** rng.random()
        if rng.random() < 1 - share + (2 * gamma * share - 1) / (share * (tau + 2) ** 2):
            break
    azimuth = TWO_PI * rng.random()
    total = kinetic + 2 * ELECTRON_MASS_MEV
    for part, side in ((share, 0.0), (1 - share, math.pi)):
        cosine = (part * (tau + 2) - 1) / (part * math.sqrt(tau * (tau + 2)))
        push_turned(shower, particle, PHOTON, part * total, min(max(cosine, -1.0), 1.0), azimuth + side)
