"""Tables of everything that depends on energy alone, on a logarithmic grid, computed from the formulas at first use.

`charged_and_photon_tables()[kind, node, column]`: kind as in argon.py; columns named below, per cm of liquid argon.
Between nodes, 30 a decade, values are interpolated linearly in ln T: good to 0.1 %.
"""

import functools
import math

import numpy as np

from cdmtrain.compiled import jit
from cdmtrain.simulation import argon, diffraction, ionisation, nuclear, photons, scattering, secondaries

LOWEST_MEV, HIGHEST_MEV, NODES_PER_DECADE = 1e-3, 1e4, 30
LOG_LOWEST = math.log(LOWEST_MEV)
NODES_PER_LOG = NODES_PER_DECADE / math.log(10)
NODES = round(NODES_PER_DECADE * math.log10(HIGHEST_MEV / LOWEST_MEV)) + 1

# columns of charged particles
SOFT_LOSS, SOFT_VARIANCE, COLLISION_RATE, RADIATION_RATE, RANGE = 0, 1, 2, 3, 4
SOFT_SCATTER, SCATTER_RATE, SCATTER_CUT, SCREENING, TRANSPORT_RATE, NUCLEAR_RATE, DELTA_RAY_RATE = 5, 6, 7, 8, 9, 10, 11
ELASTIC_RATE = 12  # part of NUCLEAR_RATE
COLUMNS = 13
# columns of photons
COMPTON_RATE, PAIR_RATE, PHOTOELECTRIC_RATE = 0, 1, 2


def energy_grid() -> np.ndarray:
    """Kinetic energies of the nodes, MeV."""
    return np.geomspace(LOWEST_MEV, HIGHEST_MEV, NODES)


def total_loss(kinetic_mev: np.ndarray, kind: int) -> np.ndarray:
    """Mean dE/dx of collisions and radiation together, MeV/cm."""
    if kind in (argon.ELECTRON, argon.POSITRON):
        radiated = secondaries.radiation_integrals(kinetic_mev, argon.PHOTON_CUT_MEV)[2]
        return ionisation.electron_loss(kinetic_mev, argon.ELECTRON_MASS_MEV, np.inf) + radiated
    return ionisation.heavy_loss(kinetic_mev, argon.MASS_MEV[kind], np.inf)


def continuous_range(kinetic_mev: np.ndarray, kind: int) -> np.ndarray:
    """Path to rest at the mean loss (CSDA range), cm, at increasing energies that start near rest."""
    per_log = kinetic_mev / total_loss(kinetic_mev, kind)
    pieces = 0.5 * (per_log[1:] + per_log[:-1]) * np.diff(np.log(kinetic_mev))
    return per_log[0] + np.concatenate([[0.0], np.cumsum(pieces)])


def charged_table(kind: int) -> np.ndarray:
    """The columns of one charged particle."""
    kinetic, mass, cut = energy_grid(), argon.MASS_MEV[kind], argon.COLLISION_CUT_MEV
    light, table = kind in (argon.ELECTRON, argon.POSITRON), np.zeros((NODES, COLUMNS))
    loss, variance, rate = ionisation.ELECTRON if light else ionisation.HEAVY
    table[:, SOFT_LOSS] = loss(kinetic, mass, cut)
    table[:, SOFT_VARIANCE] = variance(kinetic, mass, cut)
    table[:, DELTA_RAY_RATE] = rate(kinetic, mass, argon.DELTA_RAY_MEV)
    table[:, COLLISION_RATE] = rate(kinetic, mass, cut) - table[:, DELTA_RAY_RATE]
    if light:
        table[:, RADIATION_RATE], soft, _ = secondaries.radiation_integrals(kinetic, argon.PHOTON_CUT_MEV)
        table[:, SOFT_LOSS] += soft
    table[:, RANGE] = continuous_range(kinetic, kind)
    table[:, SOFT_SCATTER : TRANSPORT_RATE + 1] = np.stack(scattering.scattering_tables(kinetic, mass), axis=1)
    return table


@functools.lru_cache(maxsize=4)
def charged_and_photon_tables(proton_reactions: bool, photoelectric_from_mev: float = 0.0) -> np.ndarray:
    """All tables, (kind, node, column); photons below `photoelectric_from_mev` are not absorbed, see photons.py."""
    tables = np.zeros((5, NODES, COLUMNS))
    kinetic = energy_grid()
    for kind in (argon.ELECTRON, argon.MUON, argon.PROTON):
        tables[kind] = charged_table(kind)
    tables[argon.POSITRON] = tables[argon.ELECTRON]
    tables[argon.PHOTON, :, COMPTON_RATE] = photons.compton_rate(kinetic)
    tables[argon.PHOTON, :, PAIR_RATE] = photons.pair_rate(kinetic)
    is_absorbed = kinetic >= photoelectric_from_mev
    tables[argon.PHOTON, :, PHOTOELECTRIC_RATE] = photons.photoelectric_rate(kinetic) * is_absorbed
    if proton_reactions:
        tables[argon.PROTON, :, ELASTIC_RATE] = diffraction.elastic_rate(kinetic)
        tables[argon.PROTON, :, NUCLEAR_RATE] = nuclear.reaction_rate(kinetic) + diffraction.elastic_rate(kinetic)
    tables.flags.writeable = False
    return tables


@jit
def interpolate(tables: np.ndarray, kind: int, kinetic_mev: float, columns: int, now: np.ndarray) -> None:
    """Write the first columns at this energy into `now`."""
    position = (math.log(kinetic_mev) - LOG_LOWEST) * NODES_PER_LOG
    node = min(max(int(position), 0), NODES - 2)
    part = min(max(position - node, 0.0), 1.0)
    for column in range(columns):
        low = tables[kind, node, column]
        now[column] = low + part * (tables[kind, node + 1, column] - low)
