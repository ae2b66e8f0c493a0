"""Particles that a charged particle makes: delta rays, bremsstrahlung photons and annihilation photons.

Delta rays: Moller's cross section for electrons and positrons, that of a spin 1/2 particle for muons and protons (see
ionisation.py). Annihilation in flight: Heitler's cross section.

Bremsstrahlung of electrons and positrons.

Law: Tsai, Rev. Mod. Phys. 46 (1974) 815, eqs. 3.38-3.41, with finite screening and the Coulomb correction,

    dsigma/dk = 16 alpha r_e^2 Z^2 / (3 k) { (1 - y + 3/4 y^2) [phi1/4 - ln(Z)/3 - f + (psi1/4 - 2 ln(Z)/3)/Z]
                                             + (1 - y) [(phi1 - phi2) + (psi1 - psi2)/Z] / 8 },   y = k/E,

the same law as Geant4's eBremsstrahlungRelModel. Born approximation: a few per cent low under 5 MeV, where radiation
is a tenth of the loss. Photons under the cut (30 keV) are part of the continuous loss. Directions: the sum of two
exponentials in E theta / m of Tsai as Geant4 samples it (Physics Reference Manual, Bremsstrahlung, angular
distribution).
"""

import math

import numpy as np

from cdmtrain.compiled import jit
from cdmtrain.simulation import argon
from cdmtrain.simulation.shower import KINETIC, TWO_PI, Shower, change_direction, push_turned

LOG_Z = math.log(argon.ATOMIC_NUMBER)
AZ2 = (argon.FINE_STRUCTURE * argon.ATOMIC_NUMBER) ** 2
COULOMB_CORRECTION = AZ2 * (1 / (1 + AZ2) + 0.20206 - 0.0369 * AZ2 + 0.0083 * AZ2**2 - 0.0020 * AZ2**3)
SCREENING_NUCLEUS = 100 * argon.ELECTRON_MASS_MEV / argon.ATOMIC_NUMBER ** (1 / 3)
SCREENING_ELECTRONS = 100 * argon.ELECTRON_MASS_MEV / argon.ATOMIC_NUMBER ** (2 / 3)
LARGEST_OF_NUCLEUS = (16.863 + 4.0) / 4 - LOG_Z / 3 - COULOMB_CORRECTION
LARGEST_SPECTRUM = LARGEST_OF_NUCLEUS + ((24.34 + 4.0) / 4 - 2 * LOG_Z / 3) / argon.ATOMIC_NUMBER + 0.2


@jit
def spectrum(y: float, total_mev: float) -> float:
    """The braces of Tsai's formula: k dsigma/dk without its constants, for y = k/E and total energy E."""
    minimum_momentum = y / (total_mev * (1 - y))
    g, e = SCREENING_NUCLEUS * minimum_momentum, SCREENING_ELECTRONS * minimum_momentum
    phi1 = 16.863 - 2 * math.log(1 + 0.311877 * g * g) + 2.4 * math.exp(-0.9 * g) + 1.6 * math.exp(-1.5 * g)
    psi1 = 24.34 - 2 * math.log(1 + 13.111641 * e * e) + 2.8 * math.exp(-8 * e) + 1.2 * math.exp(-29.2 * e)
    screened = 2 / (3 + 19.5 * g + 18 * g * g) + 2 / (3 + 120 * e + 1200 * e * e) / argon.ATOMIC_NUMBER
    main = phi1 / 4 - LOG_Z / 3 - COULOMB_CORRECTION + (psi1 / 4 - 2 * LOG_Z / 3) / argon.ATOMIC_NUMBER
    return max((1 - y + 0.75 * y * y) * main + (1 - y) * screened / 8, 0.0)


def radiation_integrals(kinetic_mev: np.ndarray, cut_mev: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Photons above the cut per cm, MeV/cm radiated below the cut, and MeV/cm radiated in total."""
    z = argon.ATOMIC_NUMBER
    constant = 16 * argon.FINE_STRUCTURE * argon.ELECTRON_RADIUS_CM**2 * z**2 / 3 * argon.ATOMS_PER_CM3
    nodes, weights = np.polynomial.legendre.leggauss(64)
    rate, soft, total = np.zeros((3, len(kinetic_mev)))
    for i, kinetic in enumerate(kinetic_mev):
        energy = kinetic + argon.ELECTRON_MASS_MEV
        for low, high in ((1e-6 * kinetic, min(cut_mev, kinetic)), (min(cut_mev, kinetic), kinetic)):
            half = 0.5 * math.log(high / low)
            k = low * np.exp(half * (nodes + 1))
            values = constant * half * weights * [spectrum(min(y, 0.999999), energy) for y in k / energy]
            total[i] += (values * k).sum()
            if high <= cut_mev:
                soft[i] += (values * k).sum()
            else:
                rate[i] += values.sum()
    return rate, soft, total


@jit
def sample_photon_mev(kinetic_mev: float, rng: np.random.Generator) -> float:
    """Energy of a photon above the cut, MeV: 1/k times the spectrum, by rejection."""
    total = kinetic_mev + argon.ELECTRON_MASS_MEV
    span = math.log(kinetic_mev / argon.PHOTON_CUT_MEV)
    while True:
        k = argon.PHOTON_CUT_MEV * math.exp(span * rng.random())
        if rng.random() * LARGEST_SPECTRUM < spectrum(k / total, total):
            return k


@jit
def sample_small_angle(total_mev: float, rng: np.random.Generator) -> float:
    """Cosine between an electron of this energy and the photon it emitted, or that made it."""
    slope = 0.625 if rng.random() < 0.25 else 1.875
    while True:
        u = -math.log((1 - rng.random()) * (1 - rng.random())) / slope
        theta = u * argon.ELECTRON_MASS_MEV / total_mev
        if theta < math.pi:
            return math.cos(theta)


@jit
def sample_transfer(
    kinetic_mev: float, mass_mev: float, light: bool, low_mev: float, high_mev: float, rng: np.random.Generator
) -> float:
    """Energy transferred to an atomic electron, between two bounds: 1/T^2 with Moller's or the spin 1/2 factor, MeV."""
    gamma = 1 + kinetic_mev / mass_mev
    ratio = argon.ELECTRON_MASS_MEV / mass_mev
    top = 2 * argon.ELECTRON_MASS_MEV * (gamma * gamma - 1) / (1 + 2 * gamma * ratio + ratio * ratio)
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
            scale = 2 * energy * energy
            shape = (1 - beta2 * transfer / top + transfer * transfer / scale) / (1 + top * top / scale)
        if rng.random() < shape:
            return transfer


@jit
def knock_on(shower: Shower, particle: np.ndarray, kind: int, rng: np.random.Generator) -> None:
    """Make a delta ray that is followed; both directions follow from two-body kinematics."""
    kinetic, mass = particle[KINETIC], argon.MASS_MEV[kind]
    light = kind in (argon.ELECTRON, argon.POSITRON)
    transfer = sample_transfer(kinetic, mass, light, argon.DELTA_RAY_MEV, kinetic, rng)
    if transfer == 0.0:
        return
    momentum = math.sqrt(kinetic * (kinetic + 2 * mass))
    knocked = math.sqrt(transfer * (transfer + 2 * argon.ELECTRON_MASS_MEV))
    cosine = min(transfer * (kinetic + mass + argon.ELECTRON_MASS_MEV) / (knocked * momentum), 1.0)
    azimuth = TWO_PI * rng.random()
    push_turned(shower, particle, argon.ELECTRON, transfer, cosine, azimuth)
    along, across = momentum - knocked * cosine, knocked * math.sqrt(1 - cosine * cosine)
    change_direction(particle, along / math.sqrt(along * along + across * across), azimuth + math.pi)
    particle[KINETIC] = kinetic - transfer


@jit
def radiate(shower: Shower, particle: np.ndarray, rng: np.random.Generator) -> None:
    """Emit one bremsstrahlung photon above the cut."""
    photon = sample_photon_mev(particle[KINETIC], rng)
    cosine = sample_small_angle(particle[KINETIC] + argon.ELECTRON_MASS_MEV, rng)
    push_turned(shower, particle, argon.PHOTON, photon, cosine, TWO_PI * rng.random())
    particle[KINETIC] -= photon


@jit
def annihilation_rate(gamma: float) -> float:
    """Annihilations in flight per cm (Heitler)."""
    root = math.sqrt(gamma * gamma - 1)
    shape = (gamma * gamma + 4 * gamma + 1) / (gamma * gamma - 1) * math.log(gamma + root) - (gamma + 3) / root
    return argon.ELECTRONS_PER_CM3 * math.pi * argon.ELECTRON_RADIUS_CM**2 / (gamma + 1) * shape


@jit
def annihilate(shower: Shower, particle: np.ndarray, rng: np.random.Generator) -> None:
    """Make two photons, in flight (Heitler's energy sharing) or at rest (511 keV each, back to back)."""
    kinetic = particle[KINETIC]
    if kinetic <= 0:
        cosine, azimuth = 2 * rng.random() - 1, TWO_PI * rng.random()
        push_turned(shower, particle, argon.PHOTON, argon.ELECTRON_MASS_MEV, cosine, azimuth)
        push_turned(shower, particle, argon.PHOTON, argon.ELECTRON_MASS_MEV, -cosine, azimuth + math.pi)
        return
    tau = kinetic / argon.ELECTRON_MASS_MEV
    gamma, root = tau + 1, 0.5 * math.sqrt(tau / (tau + 2))
    low, high = 0.5 - root, 0.5 + root
    while True:
        share = low * (high / low) ** rng.random()
        if rng.random() < 1 - share + (2 * gamma * share - 1) / (share * (tau + 2) ** 2):
            break
    azimuth = TWO_PI * rng.random()
    total = kinetic + 2 * argon.ELECTRON_MASS_MEV
    for part, side in ((share, 0.0), (1 - share, math.pi)):
        cosine = (part * (tau + 2) - 1) / (part * math.sqrt(tau * (tau + 2)))
        push_turned(shower, particle, argon.PHOTON, part * total, min(max(cosine, -1.0), 1.0), azimuth + side)
