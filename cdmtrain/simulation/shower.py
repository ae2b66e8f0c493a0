"""The state of one event: particles still to follow, deposits in the order they were made, energy lost.

The last particle pushed is followed first, to its end, as in Geant4: the order of deposits determines the image box.
"""

import math
from typing import NamedTuple

import numpy as np

from cdmtrain.compiled import jit

TWO_PI = 2 * math.pi
LARGEST_STACK, LARGEST_DEPOSITS = 8192, 1 << 18
# columns of `waiting`
KIND, KINETIC, X, Y, Z, U, V, W = 0, 1, 2, 3, 4, 5, 6, 7
# elements of `counts`
WAITING, DEPOSITS, OVERFLOW = 0, 1, 2


class Shower(NamedTuple):
    """Work space of one event, reused for the next."""

    waiting: np.ndarray  # (stack, 8) kind, kinetic energy MeV, position cm, direction
    deposits: np.ndarray  # (deposits, 5) position cm, energy MeV, dE/dx MeV/cm
    counts: np.ndarray  # (3,) int64: particles waiting, deposits made, 1 when either did not fit
    lost: np.ndarray  # (1,) MeV that leave no trace: neutrons, neutrinos, nuclear binding, rest mass
    now: np.ndarray  # (columns,) the tables at the particle's present energy
    clock: np.ndarray  # (4,) mean free paths left to the next collision, photon, large scatter, nuclear event


def new_shower(columns: int) -> Shower:
    """Work space for one thread."""
    waiting, deposits = np.zeros((LARGEST_STACK, 8)), np.zeros((LARGEST_DEPOSITS, 5))
    return Shower(waiting, deposits, np.zeros(3, np.int64), np.zeros(1), np.zeros(columns), np.zeros(4))


@jit
def push(
    shower: Shower, kind: int, kinetic_mev: float, x: float, y: float, z: float, u: float, v: float, w: float
) -> None:
    """Put a particle on top of the stack of those waiting."""
    top = shower.counts[WAITING]
    if top == shower.waiting.shape[0]:
        shower.counts[OVERFLOW] = 1
        return
    particle = shower.waiting[top]
    particle[KIND], particle[KINETIC] = kind, kinetic_mev
    particle[X], particle[Y], particle[Z] = x, y, z
    particle[U], particle[V], particle[W] = u, v, w
    shower.counts[WAITING] = top + 1


@jit
def deposit_here(shower: Shower, parent: np.ndarray, energy_mev: float, density_mev_cm: float) -> None:
    """Deposit energy at the position of a particle."""
    if energy_mev <= 0:
        return
    last = shower.counts[DEPOSITS]
    if last == shower.deposits.shape[0]:
        shower.counts[OVERFLOW] = 1
        return
    row = shower.deposits[last]
    row[0], row[1], row[2], row[3], row[4] = parent[X], parent[Y], parent[Z], energy_mev, density_mev_cm
    shower.counts[DEPOSITS] = last + 1


@jit
def turn(u: float, v: float, w: float, cosine: float, azimuth: float) -> tuple[float, float, float]:
    """A direction turned by the angle of this cosine, with this azimuth around the old direction."""
    sine = math.sqrt(max(0.0, 1 - cosine * cosine))
    a, b = sine * math.cos(azimuth), sine * math.sin(azimuth)
    across = math.sqrt(u * u + v * v)
    if across < 1e-6:
        return a, b, math.copysign(cosine, w * cosine)
    nu = u * cosine + (a * u * w - b * v) / across
    nv = v * cosine + (a * v * w + b * u) / across
    nw = w * cosine - a * across
    norm = 1 / math.sqrt(nu * nu + nv * nv + nw * nw)
    return nu * norm, nv * norm, nw * norm


@jit
def change_direction(particle: np.ndarray, cosine: float, azimuth: float) -> None:
    """Turn a particle by the angle of this cosine, with this azimuth."""
    particle[U], particle[V], particle[W] = turn(particle[U], particle[V], particle[W], cosine, azimuth)


@jit
def move(particle: np.ndarray, length: float) -> None:
    """Move a particle straight on."""
    particle[X] += length * particle[U]
    particle[Y] += length * particle[V]
    particle[Z] += length * particle[W]


@jit
def push_turned(
    shower: Shower, parent: np.ndarray, kind: int, kinetic_mev: float, cosine: float, azimuth: float
) -> None:
    """Push a particle made at the parent's position, turned from the parent's direction."""
    u, v, w = turn(parent[U], parent[V], parent[W], cosine, azimuth)
    push(shower, kind, kinetic_mev, parent[X], parent[Y], parent[Z], u, v, w)


@jit
def push_isotropic(shower: Shower, parent: np.ndarray, kind: int, kinetic_mev: float, rng: np.random.Generator) -> None:
    """Push a particle made at the parent's position, in a random direction."""
    push_turned(shower, parent, kind, kinetic_mev, 2 * rng.random() - 1, 2 * math.pi * rng.random())
