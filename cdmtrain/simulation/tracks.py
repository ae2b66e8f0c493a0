"""Follow a charged particle step by step to its end.

A step is at most 1 mm long (muons and protons: 0.2 of the range near its end, and the last 0.1 mm at once, the step
function of Geant4), and ends where a photon over 30 keV or a delta ray over 55 keV starts; large scatters, nuclear
reactions and annihilation in flight happen at the end of a step. The particle advances on a straight line by the mean
lambda (1 - exp(-s/lambda)), deposits its loss in the middle, and turns at the end. A step has no lateral displacement,
and an electron with a range under 1 mm makes one last deposit, less a photon that it may emit on the way: so does
Geant4's Urban model far from boundaries, with which this sample is compared (a truly continuous path of 2.5 MeV lights
15 % more pixels). Decay in flight and positron-specific losses (2 %) are left out.
"""

import math

import numpy as np

from cdmtrain.compiled import jit
from cdmtrain.simulation import argon
from cdmtrain.simulation import tables as column
from cdmtrain.simulation.cascade import BOUND_MEV, PROTON_INSIDE
from cdmtrain.simulation.diffraction import scatter_on_nucleus
from cdmtrain.simulation.nuclear import muon_at_rest, react
from cdmtrain.simulation.scattering import sample_hard_scatter, sample_small_scatter
from cdmtrain.simulation.secondaries import annihilate, annihilation_rate, knock_on, radiate, sample_transfer
from cdmtrain.simulation.shower import KIND, KINETIC, TWO_PI, Shower, change_direction, deposit_here, move
from cdmtrain.simulation.tables import interpolate

LONGEST_STEP_CM = 0.1
SHORTEST_STEP_CM = 1e-6
CLOCK_DUE = 1e-9
HEAVY_RANGE_SHARE, HEAVY_LAST_CM = 0.2, 0.01  # of a muon's or proton's range; the range that is one last step
END_ADVANCE = 0.14  # an electron's last deposit is so many ranges ahead
DELTA_RAY, RADIATION, SCATTER, RARE = 0, 1, 2, 3  # elements of `clock`


@jit
def radiate_at_last(
    shower: Shower, electron: np.ndarray, tables: np.ndarray, range_cm: float, rng: np.random.Generator
) -> None:
    """Perhaps emit a photon on the way to rest; the energy there follows from the range, which is as T^1.7."""
    kinetic, rate = electron[KINETIC], shower.now[column.RADIATION_RATE]
    path = rng.standard_exponential() / max(rate, SHORTEST_STEP_CM)
    if path < range_cm:
        electron[KINETIC] = kinetic * (1 - path / range_cm) ** (1 / 1.7)
        if electron[KINETIC] > argon.PHOTON_CUT_MEV:
            interpolate(tables, argon.ELECTRON, electron[KINETIC], column.COLUMNS, shower.now)
            if rng.random() * rate < shower.now[column.RADIATION_RATE]:
                before = electron[KINETIC]
                radiate(shower, electron, rng)
                kinetic -= before - electron[KINETIC]
        electron[KINETIC] = kinetic


@jit
def stop(shower: Shower, particle: np.ndarray, kind: int, tables: np.ndarray, rng: np.random.Generator) -> None:
    """Deposit the rest of the energy; positrons annihilate and muons are captured or decay."""
    range_cm = shower.now[column.RANGE]
    if kind in (argon.ELECTRON, argon.POSITRON):
        radiate_at_last(shower, particle, tables, range_cm, rng)
        move(particle, END_ADVANCE * range_cm)
    deposit_here(shower, particle, particle[KINETIC], particle[KINETIC] / range_cm)
    particle[KINETIC] = 0.0
    if kind == argon.POSITRON:
        annihilate(shower, particle, rng)
    elif kind == argon.MUON:
        muon_at_rest(shower, particle, rng)


@jit
def mean_advance(length_cm: float, transport_rate: float) -> float:
    """Mean advance along the first direction on a path that scatters: lambda (1 - exp(-path / lambda)), cm."""
    depth = length_cm * transport_rate
    return length_cm if depth < 1e-4 else (1 - math.exp(-depth)) / transport_rate


@jit
def step_length(kind: int, now: np.ndarray, clock: np.ndarray) -> float:
    """Length to the next photon or delta ray, at most 1 mm; advances their clocks."""
    length = now[column.RANGE]
    if kind not in (argon.ELECTRON, argon.POSITRON) and length > HEAVY_LAST_CM:
        last, share = HEAVY_LAST_CM, HEAVY_RANGE_SHARE
        length = share * length + last * (1 - share) * (2 - last / length)
    length = min(length, LONGEST_STEP_CM)
    for which, rate in ((RADIATION, now[column.RADIATION_RATE]), (DELTA_RAY, now[column.DELTA_RAY_RATE])):
        if rate * length > clock[which]:
            length = clock[which] / rate
    clock[RADIATION] -= length * now[column.RADIATION_RATE]
    clock[DELTA_RAY] -= length * now[column.DELTA_RAY_RATE]
    return length


@jit
def lose_energy(particle: np.ndarray, kind: int, length: float, now: np.ndarray, rng: np.random.Generator) -> float:
    """Energy lost in a step: continuous loss with Bohr's variance, and collisions too soft for a delta ray, MeV."""
    kinetic = particle[KINETIC]
    loss = now[column.SOFT_LOSS] * length + math.sqrt(now[column.SOFT_VARIANCE] * length) * rng.standard_normal()
    loss = min(max(loss, 0.0), kinetic)
    to_collision = rng.standard_exponential()
    while to_collision < length * now[column.COLLISION_RATE] and kinetic - loss > argon.COLLISION_CUT_MEV:
        left, light = kinetic - loss, kind in (argon.ELECTRON, argon.POSITRON)
        mass, low, high = argon.MASS_MEV[kind], argon.COLLISION_CUT_MEV, argon.DELTA_RAY_MEV
        loss += min(sample_transfer(left, mass, light, low, high, rng), left)
        to_collision += rng.standard_exponential()
    particle[KINETIC] = kinetic - loss
    return loss


@jit
def step(
    shower: Shower, particle: np.ndarray, kind: int, tables: np.ndarray, length: float, rng: np.random.Generator
) -> None:
    """Advance with one deposit in the middle, then turn once for all small scatters."""
    now, kinetic = shower.now, particle[KINETIC]
    half = max(kinetic - 0.5 * length * now[column.SOFT_LOSS], 0.5 * kinetic)
    interpolate(tables, kind, half, column.COLUMNS, now)
    straight = mean_advance(length, now[column.TRANSPORT_RATE])
    move(particle, 0.5 * straight)
    loss = lose_energy(particle, kind, length, now, rng)
    deposit_here(shower, particle, loss, loss / length)
    move(particle, 0.5 * straight)
    cosine = sample_small_scatter(1 - math.exp(-length * now[column.SOFT_SCATTER]), rng)
    change_direction(particle, cosine, TWO_PI * rng.random())


@jit
def scatter_hard(particle: np.ndarray, kind: int, now: np.ndarray, rng: np.random.Generator) -> None:
    """Turn by one large Coulomb scatter."""
    kinetic, mass = particle[KINETIC], argon.MASS_MEV[kind]
    cosine = sample_hard_scatter(now[column.SCATTER_CUT], now[column.SCREENING], kinetic, mass, rng)
    change_direction(particle, cosine, TWO_PI * rng.random())


@jit
def meet_nucleus(shower: Shower, particle: np.ndarray, rng: np.random.Generator) -> bool:
    """A proton's elastic scatter or reaction on a nucleus; True if the proton is gone."""
    if rng.random() * shower.now[column.NUCLEAR_RATE] > shower.now[column.ELASTIC_RATE]:
        if particle[KINETIC] <= BOUND_MEV[PROTON_INSIDE]:
            return False  # it has slowed below the Coulomb barrier
        react(shower, particle, rng)
        return True
    scatter_on_nucleus(shower, particle, rng)
    return False


@jit
def follow_charged(shower: Shower, particle: np.ndarray, tables: np.ndarray, rng: np.random.Generator) -> None:
    """Follow a particle to its end, pushing everything it makes on the shower."""
    kind, now, clock = int(particle[KIND]), shower.now, shower.clock
    for n in range(clock.size):
        clock[n] = rng.standard_exponential()
    while True:
        interpolate(tables, kind, max(particle[KINETIC], 1e-3), column.COLUMNS, now)
        if particle[KINETIC] < argon.STOP_MEV[kind]:
            stop(shower, particle, kind, tables, rng)
            return
        length = max(step_length(kind, now, clock), SHORTEST_STEP_CM)
        step(shower, particle, kind, tables, length, rng)
        clock[SCATTER] -= length * now[column.SCATTER_RATE]
        while clock[SCATTER] < 0:
            scatter_hard(particle, kind, now, rng)
            clock[SCATTER] += rng.standard_exponential()
        if clock[RADIATION] < CLOCK_DUE and particle[KINETIC] > argon.STOP_MEV[kind]:
            radiate(shower, particle, rng)
            clock[RADIATION] = rng.standard_exponential()
        if clock[DELTA_RAY] < CLOCK_DUE and particle[KINETIC] > argon.STOP_MEV[kind]:
            knock_on(shower, particle, kind, rng)
            clock[DELTA_RAY] = rng.standard_exponential()
        if particle[KINETIC] < argon.STOP_MEV[kind]:
            continue
        if kind == argon.PROTON:
            clock[RARE] -= length * now[column.NUCLEAR_RATE]
            if clock[RARE] < 0:
                if meet_nucleus(shower, particle, rng):
                    return
                clock[RARE] = rng.standard_exponential()
        elif kind == argon.POSITRON:
            clock[RARE] -= length * annihilation_rate(1 + particle[KINETIC] / argon.ELECTRON_MASS_MEV)
            if clock[RARE] < 0:
                annihilate(shower, particle, rng)
                return
