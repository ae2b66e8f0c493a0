"""Follow a primary particle and everything it makes through infinite argon until all have stopped."""

import math

import numpy as np

from cdmtrain.compiled import jit
from cdmtrain.simulation import argon
from cdmtrain.simulation import tables as column
from cdmtrain.simulation.photons import sample_compton, sample_pair_share
from cdmtrain.simulation.secondaries import sample_small_angle
from cdmtrain.simulation.shower import (
    KIND,
    KINETIC,
    TWO_PI,
    WAITING,
    Shower,
    change_direction,
    deposit_here,
    move,
    push,
    push_turned,
)
from cdmtrain.simulation.tables import interpolate
from cdmtrain.simulation.tracks import follow_charged


@jit
def make_pair(shower: Shower, photon: np.ndarray, rng: np.random.Generator) -> None:
    """Make an electron and a positron at opposite azimuths."""
    energy = photon[KINETIC]
    share = sample_pair_share(energy, rng)
    if rng.random() < 0.5:
        share = 1 - share
    azimuth = TWO_PI * rng.random()
    for kind, part, side in ((argon.ELECTRON, share, 0.0), (argon.POSITRON, 1 - share, math.pi)):
        total_mev = part * energy
        kinetic = max(total_mev - argon.ELECTRON_MASS_MEV, 0.0)
        push_turned(shower, photon, kind, kinetic, sample_small_angle(total_mev, rng), azimuth + side)


@jit
def scatter_photon(shower: Shower, photon: np.ndarray, rng: np.random.Generator) -> None:
    """Compton scatter: push the electron and turn the photon."""
    energy = photon[KINETIC]
    scattered, cosine = sample_compton(energy, rng)
    azimuth = TWO_PI * rng.random()
    transfer = energy - scattered
    momentum = math.sqrt(transfer * (transfer + 2 * argon.ELECTRON_MASS_MEV))
    electron_cosine = 1.0 if momentum == 0 else min((energy - scattered * cosine) / momentum, 1.0)
    push_turned(shower, photon, argon.ELECTRON, transfer, electron_cosine, azimuth + math.pi)
    change_direction(photon, cosine, azimuth)
    photon[KINETIC] = scattered


@jit
def follow_photon(shower: Shower, photon: np.ndarray, tables: np.ndarray, rng: np.random.Generator) -> None:
    """Free flights between Compton scatters, until a pair, an absorption or the energy cut."""
    now = shower.now
    while photon[KINETIC] > argon.PHOTON_END_MEV:
        interpolate(tables, argon.PHOTON, photon[KINETIC], 3, now)
        total = now[column.COMPTON_RATE] + now[column.PAIR_RATE] + now[column.PHOTOELECTRIC_RATE]
        move(photon, rng.standard_exponential() / total)
        which = rng.random() * total
        if which < now[column.PAIR_RATE]:
            make_pair(shower, photon, rng)
            return
        if which < now[column.PAIR_RATE] + now[column.COMPTON_RATE]:
            scatter_photon(shower, photon, rng)
        else:
            push_turned(shower, photon, argon.ELECTRON, photon[KINETIC], 2 * rng.random() - 1, TWO_PI * rng.random())
            return
    deposit_here(shower, photon, photon[KINETIC], 10.0)


@jit
def transport(
    shower: Shower, kind: int, kinetic_mev: float, direction: np.ndarray, tables: np.ndarray, rng: np.random.Generator
) -> None:
    """Fill the shower's deposits, in order, for one primary at the origin."""
    shower.counts[:] = 0
    shower.lost[0] = 0.0
    push(shower, kind, kinetic_mev, 0.0, 0.0, 0.0, direction[0], direction[1], direction[2])
    particle = np.empty(8)
    while shower.counts[WAITING] > 0:
        shower.counts[WAITING] -= 1
        particle[:] = shower.waiting[shower.counts[WAITING]]
        if particle[KIND] == argon.PHOTON:
            follow_photon(shower, particle, tables, rng)
        else:
            follow_charged(shower, particle, tables, rng)
