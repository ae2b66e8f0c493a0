"""From deposits to an image: the box around them, voxels, threshold, projection, and detector effects.

The box follows the challenge (bounding box of the Supera code). It starts at the vertex and grows to include the
deposits in the order they were made, along each axis up to the width of the image, until all three axes are full. An
axis that is not full is placed at random within its slack. So a shower, whose far photons fill the box, often starts
at an edge.

Recombination: modified box model, R = ln(alpha + beta' dE/dx) / (beta' dE/dx), ArgoNeuT, JINST 8 (2013) P08005.
"""

import math

import numpy as np

from cdmtrain.compiled import jit
from cdmtrain.simulation.argon import DENSITY
from cdmtrain.simulation.shower import DEPOSITS, Shower

BOX_ALPHA, BOX_BETA = 0.93, 0.212  # beta in (kV/cm)(g/cm2)/MeV
CLOUD_PARTS = 8  # points that stand for a diffused deposit
# columns of `settings`, see Simulator
WIDTH, PITCH, VOXEL_THRESHOLD, FIELD, DIFFUSION, NOISE, PIXEL_THRESHOLD = 0, 1, 2, 3, 4, 5, 6
KEPT, OUTSIDE, UNDER_THRESHOLD, RECOMBINED = 0, 1, 2, 3


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
    strength = BOX_BETA / (DENSITY * field_kv_cm) * max(density_mev_cm, 0.5)
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
    image: np.ndarray,
    settings: np.ndarray,
    pixel: np.ndarray,
    energy_mev: np.ndarray,
    rng: np.random.Generator,
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
