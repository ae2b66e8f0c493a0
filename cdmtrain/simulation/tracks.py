"""A charged particle followed step by step to its end.

Steps of at most 1 mm (heavy particles: 0.15 of the range), shorter where a photon over 30 keV or a delta ray over
50 keV starts; large scatters, nuclear reactions and annihilation in flight come at the end of a step. A step is a
straight line of the mean advance lambda (1 - exp(-s/lambda)), its energy left in the middle, one turn at its end.
There is no lateral displacement in a step, and an electron with under 1 mm to go makes one last deposit: so does
Geant4's Urban model far from boundaries, with which this sample is compared (a truly continuous path of 2.5 MeV
lights 15 % more pixels). Decay in flight and positron-specific losses (2 %) are left out.
"""

import math

import numpy as np

from cdmtrain.compiled import jit
from cdmtrain.simulation.argon import (
    COLLISION_CUT_MEV,
    DELTA_RAY_MEV,
    ELECTRON,
    ELECTRON_MASS_MEV,
    ELECTRON_RADIUS_CM,
    ELECTRONS_PER_CM3,
    MASS_MEV,
    MUON,
    PHOTON,
    POSITRON,
    PROTON,
    STOP_MEV,
)
from cdmtrain.simulation.nuclear import ELASTIC_SHARE, leave, muon_at_rest, react, scatter_on_nucleus
from cdmtrain.simulation.radiation import sample_photon_mev, sample_small_angle
from cdmtrain.simulation.scattering import sample_hard_scatter, sample_small_scatter
from cdmtrain.simulation.shower import KIND, KINETIC, Shower, U, V, W, X, Y, Z, push_turned, turn
from cdmtrain.simulation.tables import (
    COLLISION_RATE,
    COLUMNS,
    DELTA_RAY_RATE,
    NUCLEAR_RATE,
    RADIATION_RATE,
    RANGE,
    SCATTER_CUT,
    SCATTER_RATE,
    SCREENING,
    SOFT_LOSS,
    SOFT_SCATTER,
    SOFT_VARIANCE,
    TRANSPORT_RATE,
    interpolate,
)

LONGEST_STEP_CM = 0.1
SHORTEST_STEP_CM = 1e-6
CLOCK_DUE = 1e-9
HEAVY_RANGE_SHARE = 0.15
LIGHT_RANGE_SHARE = 1.0
END_ADVANCE = 0.14  # where an electron's last energy is, in ranges ahead
DELTA_RAY, RADIATION, SCATTER, RARE = 0, 1, 2, 3  # clocks
TWO_PI = 2 * math.pi


@jit
def change_direction(particle: np.ndarray, cosine: float, azimuth: float) -> None:
    """Turn the particle itself."""
    particle[U], particle[V], particle[W] = turn(particle[U], particle[V], particle[W], cosine, azimuth)


@jit
def move(particle: np.ndarray, length_cm: float) -> None:
    """Straight on."""
    particle[X] += length_cm * particle[U]
    particle[Y] += length_cm * particle[V]
    particle[Z] += length_cm * particle[W]


@jit
def sample_transfer(
    kinetic_mev: float, mass_mev: float, light: bool, low_mev: float, high_mev: float, rng: np.random.Generator
) -> float:
    """Energy given to an atomic electron, between two bounds: 1/T^2 with Moller's or the spin 1/2 factor."""
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
    """A delta ray that is followed; both directions as two-body kinematics has them."""
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
    """One bremsstrahlung photon over the cut."""
    photon = sample_photon_mev(particle[KINETIC], rng)
    cosine = sample_small_angle(particle[KINETIC] + ELECTRON_MASS_MEV, rng)
    push_turned(shower, particle, PHOTON, photon, cosine, TWO_PI * rng.random())
    particle[KINETIC] -= photon


@jit
def annihilation_rate(gamma: float) -> float:
    """Heitler's annihilations in flight per cm."""
    root = math.sqrt(gamma * gamma - 1)
    shape = (gamma * gamma + 4 * gamma + 1) / (gamma * gamma - 1) * math.log(gamma + root) - (gamma + 3) / root
    return ELECTRONS_PER_CM3 * math.pi * ELECTRON_RADIUS_CM**2 / (gamma + 1) * shape


@jit
def annihilate(shower: Shower, particle: np.ndarray, rng: np.random.Generator) -> None:
    """Two photons, in flight (Heitler's sharing) or at rest (511 keV back to back, in any direction)."""
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


@jit
def end(shower: Shower, particle: np.ndarray, kind: int, now: np.ndarray, rng: np.random.Generator) -> None:
    """The particle stops: leave what it has, and let positron and muon do what they do at rest."""
    if kind in (ELECTRON, POSITRON):
        move(particle, END_ADVANCE * now[RANGE])
    leave(shower, particle, particle[KINETIC], particle[KINETIC] / now[RANGE])
    particle[KINETIC] = 0.0
    if kind == POSITRON:
        annihilate(shower, particle, rng)
    elif kind == MUON:
        muon_at_rest(shower, particle, rng)


@jit
def shortened(length_cm: float, transport_rate: float) -> float:
    """Mean advance along the first direction on a path that scatters: lambda (1 - exp(-path / lambda))."""
    depth = length_cm * transport_rate
    return length_cm if depth < 1e-4 else (1 - math.exp(-depth)) / transport_rate


@jit
def step_length(kind: int, now: np.ndarray, clock: np.ndarray) -> float:
    """To the next photon or delta ray, 1 mm at most; their clocks run down."""
    share = LIGHT_RANGE_SHARE if kind in (ELECTRON, POSITRON) else HEAVY_RANGE_SHARE
    length = min(LONGEST_STEP_CM, share * now[RANGE])
    for which, rate in ((RADIATION, now[RADIATION_RATE]), (DELTA_RAY, now[DELTA_RAY_RATE])):
        if rate * length > clock[which]:
            length = clock[which] / rate
    clock[RADIATION] -= length * now[RADIATION_RATE]
    clock[DELTA_RAY] -= length * now[DELTA_RAY_RATE]
    return length


@jit
def lose(particle: np.ndarray, kind: int, length: float, now: np.ndarray, rng: np.random.Generator) -> float:
    """Energy left in a step: continuous loss with Bohr's spread, and collisions too soft for a delta ray."""
    kinetic = particle[KINETIC]
    loss = now[SOFT_LOSS] * length + math.sqrt(now[SOFT_VARIANCE] * length) * rng.standard_normal()
    loss = min(max(loss, 0.0), kinetic)
    to_collision = rng.standard_exponential()
    while to_collision < length * now[COLLISION_RATE] and kinetic - loss > COLLISION_CUT_MEV:
        left, light = kinetic - loss, kind in (ELECTRON, POSITRON)
        loss += min(sample_transfer(left, MASS_MEV[kind], light, COLLISION_CUT_MEV, DELTA_RAY_MEV, rng), left)
        to_collision += rng.standard_exponential()
    particle[KINETIC] = kinetic - loss
    return loss


@jit
def step(
    shower: Shower, particle: np.ndarray, kind: int, tables: np.ndarray, length: float, rng: np.random.Generator
) -> None:
    """Straight on with one deposit in the middle, then one turn for all small scatters."""
    now, kinetic = shower.now, particle[KINETIC]
    half = max(kinetic - 0.5 * length * now[SOFT_LOSS], 0.5 * kinetic)
    interpolate(tables, kind, half, COLUMNS, now)
    straight = shortened(length, now[TRANSPORT_RATE])
    move(particle, 0.5 * straight)
    loss = lose(particle, kind, length, now, rng)
    leave(shower, particle, loss, loss / length)
    move(particle, 0.5 * straight)
    cosine = sample_small_scatter(1 - math.exp(-length * now[SOFT_SCATTER]), rng)
    change_direction(particle, cosine, TWO_PI * rng.random())


@jit
def scatter_hard(particle: np.ndarray, kind: int, now: np.ndarray, rng: np.random.Generator) -> None:
    """One large Coulomb scatter."""
    kinetic, mass = particle[KINETIC], MASS_MEV[kind]
    momentum2 = kinetic * (kinetic + 2 * mass)
    beta2 = momentum2 / (kinetic + mass) ** 2
    change_direction(
        particle, sample_hard_scatter(now[SCATTER_CUT], now[SCREENING], momentum2, beta2, rng), TWO_PI * rng.random()
    )


@jit
def meet_nucleus(shower: Shower, particle: np.ndarray, rng: np.random.Generator) -> bool:
    """A proton's elastic scatter or reaction; True if it is gone."""
    if rng.random() > ELASTIC_SHARE:
        react(shower, particle, rng)
        return True
    change_direction(particle, scatter_on_nucleus(particle[KINETIC], rng), TWO_PI * rng.random())
    return False


@jit
def follow_charged(shower: Shower, particle: np.ndarray, tables: np.ndarray, rng: np.random.Generator) -> None:
    """From where the particle is to its end, everything it makes pushed on the shower."""
    kind, now, clock = int(particle[KIND]), shower.now, shower.clock
    for n in range(clock.size):
        clock[n] = rng.standard_exponential()
    while True:
        interpolate(tables, kind, max(particle[KINETIC], 1e-3), COLUMNS, now)
        if particle[KINETIC] < STOP_MEV[kind]:
            end(shower, particle, kind, now, rng)
            return
        length = max(step_length(kind, now, clock), SHORTEST_STEP_CM)
        step(shower, particle, kind, tables, length, rng)
        clock[SCATTER] -= length * now[SCATTER_RATE]
        while clock[SCATTER] < 0:
            scatter_hard(particle, kind, now, rng)
            clock[SCATTER] += rng.standard_exponential()
        if clock[RADIATION] < CLOCK_DUE and particle[KINETIC] > STOP_MEV[kind]:
            radiate(shower, particle, rng)
            clock[RADIATION] = rng.standard_exponential()
        if clock[DELTA_RAY] < CLOCK_DUE and particle[KINETIC] > STOP_MEV[kind]:
            knock_on(shower, particle, kind, rng)
            clock[DELTA_RAY] = rng.standard_exponential()
        if particle[KINETIC] < STOP_MEV[kind]:
            continue
        if kind == PROTON:
            clock[RARE] -= length * now[NUCLEAR_RATE]
            if clock[RARE] < 0:
                if meet_nucleus(shower, particle, rng):
                    return
                clock[RARE] = rng.standard_exponential()
        elif kind == POSITRON:
            clock[RARE] -= length * annihilation_rate(1 + particle[KINETIC] / ELECTRON_MASS_MEV)
            if clock[RARE] < 0:
                annihilate(shower, particle, rng)
                return
