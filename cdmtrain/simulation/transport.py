"""Follow a primary particle and everything it makes through infinite argon until all have stopped."""

import math

import numpy as np

from cdmtrain.compiled import jit
from cdmtrain.simulation.argon import ELECTRON, ELECTRON_MASS_MEV, PHOTON, PHOTON_END_MEV, POSITRON
from cdmtrain.simulation.nuclear import deposit_here
from cdmtrain.simulation.photons import sample_compton, sample_pair_share
from cdmtrain.simulation.radiation import sample_small_angle
from cdmtrain.simulation.shower import (
    DEPOSITS,
    KIND,
    KINETIC,
    OVERFLOW,
    TWO_PI,
    WAITING,
    Shower,
    change_direction,
    move,
    push,
    push_turned,
)
from cdmtrain.simulation.tables import COMPTON_RATE, PAIR_RATE, PHOTOELECTRIC_RATE, interpolate
from cdmtrain.simulation.tracks import follow_charged


@jit
def free_electron(
    shower: Shower, photon: np.ndarray, kind: int, kinetic_mev: float, cosine: float, azimuth: float
) -> None:
    """Push an electron or positron that a photon made; the last one pushed is followed first, as in Geant4."""
    push_turned(shower, photon, kind, max(kinetic_mev, 0.0), cosine, azimuth)


@jit
def make_pair(shower: Shower, photon: np.ndarray, rng: np.random.Generator) -> None:
    """Make an electron and a positron at opposite azimuths."""
    energy = photon[KINETIC]
    share = sample_pair_share(energy, rng)
    if rng.random() < 0.5:
        share = 1 - share
    azimuth = TWO_PI * rng.random()
    cosine = sample_small_angle(share * energy, rng)
    free_electron(shower, photon, ELECTRON, share * energy - ELECTRON_MASS_MEV, cosine, azimuth)
    cosine = sample_small_angle((1 - share) * energy, rng)
    free_electron(shower, photon, POSITRON, (1 - share) * energy - ELECTRON_MASS_MEV, cosine, azimuth + math.pi)


@jit
def scatter_photon(shower: Shower, photon: np.ndarray, rng: np.random.Generator) -> None:
    """Compton scatter: push the electron and turn the photon."""
    energy = photon[KINETIC]
    scattered, cosine = sample_compton(energy, rng)
    azimuth = TWO_PI * rng.random()
    transfer = energy - scattered
    momentum = math.sqrt(transfer * (transfer + 2 * ELECTRON_MASS_MEV))
    electron_cosine = 1.0 if momentum == 0 else min((energy - scattered * cosine) / momentum, 1.0)
    free_electron(shower, photon, ELECTRON, transfer, electron_cosine, azimuth + math.pi)
    change_direction(photon, cosine, azimuth)
    photon[KINETIC] = scattered


@jit
def follow_photon(shower: Shower, photon: np.ndarray, tables: np.ndarray, rng: np.random.Generator) -> None:
    """Free flights between Compton scatters, until a pair, an absorption or the energy cut."""
    now = shower.now
    while photon[KINETIC] > PHOTON_END_MEV:
        interpolate(tables, PHOTON, photon[KINETIC], 3, now)
        total = now[COMPTON_RATE] + now[PAIR_RATE] + now[PHOTOELECTRIC_RATE]
        move(photon, rng.standard_exponential() / total)
        which = rng.random() * total
        if which < now[PAIR_RATE]:
            make_pair(shower, photon, rng)
            return
        if which < now[PAIR_RATE] + now[COMPTON_RATE]:
            scatter_photon(shower, photon, rng)
        else:
            free_electron(shower, photon, ELECTRON, photon[KINETIC], 2 * rng.random() - 1, TWO_PI * rng.random())
            return
    deposit_here(shower, photon, photon[KINETIC], 10.0)


@jit
def transport(
    shower: Shower,
    kind: int,
    kinetic_mev: float,
    direction: np.ndarray,
    tables: np.ndarray,
    rng: np.random.Generator,
) -> None:
    """Fill the shower's deposits, in order, for one primary at the origin."""
    shower.counts[WAITING] = shower.counts[DEPOSITS] = shower.counts[OVERFLOW] = 0
    shower.lost[0] = 0.0
    push(shower, kind, kinetic_mev, 0.0, 0.0, 0.0, direction[0], direction[1], direction[2])
    particle = np.empty(8)
    while shower.counts[WAITING] > 0:
        shower.counts[WAITING] -= 1
        particle[:] = shower.waiting[shower.counts[WAITING]]
        if particle[KIND] == PHOTON:
            follow_photon(shower, particle, tables, rng)
        else:
            follow_charged(shower, particle, tables, rng)
