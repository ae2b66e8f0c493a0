"""Simulate a block of events in one thread, from a random generator for the particles and one for the readout.

From deposits to an image: the box around them, voxels, threshold, projection, and detector effects.

The box follows the challenge (bounding box of the Supera code). It starts at the vertex and grows to include the
deposits in the order they were made, along each axis up to the width of the image, until all three axes are full. An
axis that is not full is placed at random within its slack. So a shower, whose far photons fill the box, often starts
at an edge.

Recombination: modified box model, R = ln(alpha + beta' dE/dx) / (beta' dE/dx), ArgoNeuT, JINST 8 (2013) P08005.
"""

import math

import numpy as np

from cdmtrain.compiled import jit
from cdmtrain.simulation import argon
from cdmtrain.simulation.shower import DEPOSITS, OVERFLOW, Shower
from cdmtrain.simulation.transport import transport

# columns of the energy budget, MeV: in the image, outside the box, in voxels under the threshold, lost to
# recombination, lost without a trace, and the initial energy (kinetic, a muon's rest mass, that of an annihilation)
BUDGET_COLUMNS = 6
KEPT, OUTSIDE, UNDER_THRESHOLD, RECOMBINED, LOST, INITIAL = 0, 1, 2, 3, 4, 5
BOX_ALPHA, BOX_BETA = 0.93, 0.212  # beta in (kV/cm)(g/cm2)/MeV
LEAST_MEV_CM = 0.5  # smaller densities recombine like this one
EDGE_CM = 1e-9  # a deposit that set the upper edge of the box is inside, whatever the last bit says
CLOUD_PARTS = 8  # points that stand for a diffused deposit
# columns of `settings`, see Simulator
WIDTH, PITCH, VOXEL_THRESHOLD, FIELD, DIFFUSION, NOISE, PIXEL_THRESHOLD = 0, 1, 2, 3, 4, 5, 6


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
        direction[n] = world[axes[n]]


@jit
def place_box(shower: Shower, width_cm: float, rng: np.random.Generator, low: np.ndarray) -> None:
    """Set `low` to the lower corner of the box, in cm from the vertex."""
    high, full = np.zeros(3), np.zeros(3, np.bool_)
    low[:] = 0.0
    for n in range(shower.counts[DEPOSITS]):
        for axis in range(3):
            x = shower.deposits[n, axis]
            if full[axis] or low[axis] <= x <= high[axis]:
                continue
            if x > high[axis]:
                full[axis] = x >= low[axis] + width_cm
                high[axis] = low[axis] + width_cm if full[axis] else x
            else:
                full[axis] = x <= high[axis] - width_cm
                low[axis] = high[axis] - width_cm if full[axis] else x
        if full.all():
            break
    for axis in range(3):
        if not full[axis]:
            low[axis] -= (width_cm - (high[axis] - low[axis])) * rng.random()


@jit
def surviving_charge(density_mev_cm: float, field_kv_cm: float) -> float:
    """Fraction of the ionisation charge that escapes recombination; 1 without a drift field."""
    if field_kv_cm <= 0:
        return 1.0
    strength = BOX_BETA / (argon.DENSITY * field_kv_cm) * max(density_mev_cm, LEAST_MEV_CM)
    return min(max(math.log(BOX_ALPHA + strength) / strength, 0.0), 1.0)


@jit
def voxel_keys(
    shower: Shower, settings: np.ndarray, low: np.ndarray, budget: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """(row, column, depth) as one number, and the energy, of every deposit inside the box."""
    size, parts = int(settings[WIDTH]), CLOUD_PARTS if settings[DIFFUSION] > 0 else 1
    keys = np.empty(shower.counts[DEPOSITS] * parts, np.int64)
    energies = np.empty(keys.size)
    found, cell = 0, np.empty(3, np.int64)
    for n in range(shower.counts[DEPOSITS]):
        row = shower.deposits[n]
        charge = row[3] * surviving_charge(row[4], settings[FIELD])
        budget[RECOMBINED] += row[3] - charge
        for _ in range(parts):
            inside = True
            for axis in range(3):
                x = row[axis] - low[axis]
                if parts > 1:
                    x += settings[DIFFUSION] * rng.standard_normal()
                cell[axis] = math.floor(x / settings[PITCH])
                if cell[axis] == size and x < size * settings[PITCH] + EDGE_CM:
                    cell[axis] = size - 1
                inside = inside and 0 <= cell[axis] < size
            if inside:
                keys[found] = (cell[0] * size + cell[1]) * size + cell[2]
                energies[found] = charge / parts
                found += 1
            else:
                budget[OUTSIDE] += charge / parts
    return keys[:found], energies[:found]


@jit
def project(
    keys: np.ndarray, energies: np.ndarray, settings: np.ndarray, budget: np.ndarray, image: np.ndarray
) -> None:
    """Sum deposits in voxels, drop voxels under the threshold, and sum the others along the third axis into `image`."""
    size, order = int(settings[WIDTH]), np.argsort(keys)
    n = 0
    while n < order.size:
        key, voxel = keys[order[n]], 0.0
        while n < order.size and keys[order[n]] == key:
            voxel += energies[order[n]]
            n += 1
        if voxel < settings[VOXEL_THRESHOLD]:
            budget[UNDER_THRESHOLD] += voxel
        else:
            budget[KEPT] += voxel
            image[key // size] += voxel


@jit
def read_pixels(
    image: np.ndarray, settings: np.ndarray, pixel: np.ndarray, energy_mev: np.ndarray, rng: np.random.Generator
) -> int:
    """Add noise, write the lit pixels of `image`, clear it, and return their number."""
    found, noise = 0, settings[NOISE]
    for position in range(image.size):
        value = image[position]
        if noise > 0:
            value += noise * rng.standard_normal()
        if value > settings[PIXEL_THRESHOLD]:
            pixel[found], energy_mev[found] = position, value
            found += 1
        image[position] = 0.0
    return found


@jit
def simulate_block(
    kinds: np.ndarray,  # (events,) int64
    spectra: np.ndarray,  # (kind, 3) lowest and highest kinetic energy MeV, mass MeV, by kind
    momentum: bool,
    angles: np.ndarray,  # (4,) cosine range, azimuth range in radians
    axes: np.ndarray,  # (3,) world axis of row, column, projection
    settings: np.ndarray,  # (7,) its columns are named above
    tables: np.ndarray,
    shower: Shower,
    rng: np.random.Generator,
    readout_rng: np.random.Generator,  # of diffusion and noise, so that particles are the same with and without them
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
            keys, energies = voxel_keys(shower, settings, low, budget[event], readout_rng)
            project(keys, energies, settings, budget[event], image)
            found = read_pixels(image, settings, pixel[first:], energy_mev[first:], readout_rng)
        offset[event + 1] = first + found
        kinetic_mev[event] = kinetic
        directions[event] = direction
        budget[event, LOST] = shower.lost[0]
        budget[event, INITIAL] = kinetic + (argon.MUON_MASS_MEV if kind == argon.MUON else 0.0)
        if kind == argon.POSITRON:  # it annihilates with an electron
            budget[event, INITIAL] += 2 * argon.ELECTRON_MASS_MEV
        for axis in range(2):
            vertex_px[event, axis] = min(np.floor(-low[axis] / settings[PITCH]), size - 1.0)
    total = offset[events]
    return offset, pixel[:total].copy(), energy_mev[:total].copy(), kinetic_mev, vertex_px, directions, budget
