"""Simulate a block of events in one thread, from one random generator."""

import numpy as np

from cdmtrain.compiled import jit
from cdmtrain.simulation import argon
from cdmtrain.simulation.image import PITCH, WIDTH, place_box, project, read_pixels, voxel_keys
from cdmtrain.simulation.shower import OVERFLOW, Shower
from cdmtrain.simulation.transport import transport

# columns of the energy budget, MeV: in the image, outside the box, in voxels under the threshold, lost to
# recombination, lost without a trace, and the initial energy (kinetic energy, and a muon's rest mass)
BUDGET_COLUMNS = 6
LOST, INITIAL = 4, 5


@jit
def draw_kinetic_mev(low: float, high: float, mass_mev: float, momentum: bool, rng: np.random.Generator) -> float:
    """A kinetic energy, flat in kinetic energy or in momentum, MeV."""
    if not momentum:
        return low + (high - low) * rng.random()
    first, last = np.sqrt(low * (low + 2 * mass_mev)), np.sqrt(high * (high + 2 * mass_mev))
    p = first + (last - first) * rng.random()
    return p * p / (np.sqrt(p * p + mass_mev * mass_mev) + mass_mev)


@jit
def draw_direction(angles: np.ndarray, axes: np.ndarray, rng: np.random.Generator, direction: np.ndarray) -> None:
    """A direction, flat in the cosine to z and in the azimuth; `axes` are the world axes of row, column, projection."""
    cosine = angles[0] + (angles[1] - angles[0]) * rng.random()
    azimuth = angles[2] + (angles[3] - angles[2]) * rng.random()
    sine = np.sqrt(max(0.0, 1 - cosine * cosine))
    world = (sine * np.cos(azimuth), sine * np.sin(azimuth), cosine)
    for n in range(3):
        axis = axes[n]
        direction[n] = world[0] if axis == 0 else (world[1] if axis == 1 else world[2])


@jit
def simulate_block(
    kinds: np.ndarray,  # (events,) int64
    spectra: np.ndarray,  # (4, 3) lowest and highest kinetic energy MeV, mass MeV, by kind
    momentum: bool,
    angles: np.ndarray,  # (4,) cosine range, azimuth range in radians
    axes: np.ndarray,  # (3,) world axis of row, column, projection
    settings: np.ndarray,  # (7,) see image.py
    tables: np.ndarray,
    shower: Shower,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The events of these kinds: offset, pixel, energy_mev, kinetic_energy_mev, vertex_px, direction, budget."""
    events, size = kinds.size, int(settings[WIDTH])
    offset, kinetic_mev = np.zeros(events + 1, np.int64), np.zeros(events, np.float32)
    vertex_px, directions = np.zeros((events, 2), np.float32), np.zeros((events, 3), np.float32)
    budget = np.zeros((events, BUDGET_COLUMNS))
    image, low, direction = np.zeros(size * size), np.zeros(3), np.zeros(3)
    pixel, energy_mev = np.empty(size * size + 256 * events, np.int32), np.empty(size * size + 256 * events, np.float32)
    for event in range(events):
        kind, first = kinds[event], offset[event]
        if pixel.size - first < size * size:
            pixel = np.concatenate((pixel[:first], np.empty(pixel.size, np.int32)))
            energy_mev = np.concatenate((energy_mev[:first], np.empty(energy_mev.size, np.float32)))
        found = 0
        while found == 0:
            kinetic = draw_kinetic_mev(spectra[kind, 0], spectra[kind, 1], spectra[kind, 2], momentum, rng)
            draw_direction(angles, axes, rng, direction)
            transport(shower, kind, kinetic, direction, tables, rng)
            if shower.counts[OVERFLOW] > 0:
                offset[event + 1] = -1
                return offset, pixel, energy_mev, kinetic_mev, vertex_px, directions, budget
            place_box(shower, size * settings[PITCH], rng, low)
            budget[event] = 0.0
            keys, energies = voxel_keys(shower, settings, low, budget[event], rng)
            project(keys, energies, settings, budget[event], image)
            found = read_pixels(image, settings, pixel[first:], energy_mev[first:], rng)
        offset[event + 1] = first + found
        kinetic_mev[event] = kinetic
        directions[event] = direction
        budget[event, LOST] = shower.lost[0]
        budget[event, INITIAL] = kinetic + (argon.MUON_MASS_MEV if kind == argon.MUON else 0.0)
        for axis in range(2):
            vertex_px[event, axis] = min(np.floor(-low[axis] / settings[PITCH]), size - 1.0)
    total = offset[events]
    return offset, pixel[:total].copy(), energy_mev[:total].copy(), kinetic_mev, vertex_px, directions, budget
