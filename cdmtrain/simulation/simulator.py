"""The simulator: settings in, blocks of events out; a seed gives the same events on any number of cores."""

import math
import os
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np

from cdmtrain.errors import InputError
from cdmtrain.particles import DEFAULT, ELECTRON, POSITRON, name_of
from cdmtrain.simulation.argon import MASS_MEV
from cdmtrain.simulation.block import simulate_block
from cdmtrain.simulation.settings import by_particle, choice, interval, number, setting, switch, whole
from cdmtrain.simulation.shower import new_shower
from cdmtrain.simulation.tables import COLUMNS, charged_and_photon_tables

VERSION = 3  # of the physics; raised whenever the same seed gives other events
BLOCK_EVENTS = 1000
WORLD_AXES = ("x", "y", "z")
SPECTRA = ("flat_momentum", "flat_kinetic_energy")
DEFAULT_ENERGIES = {"electron": (50, 100), "muon": (75, 150), "photon": (50, 100), "proton": (150, 250)}
MAKES = (*DEFAULT, POSITRON)  # in the order of the kinds in argon.py
EQUAL_MIX = {"electron": 1, "muon": 1, "photon": 1, "proton": 1}

# numba recompiles a function when its own file changes, but not when a function that it calls in another file does. So
# every index of its cache that is older than the newest source of this room is removed before the first call.
newest_source = max(source.stat().st_mtime for source in Path(__file__).parent.glob("*.py"))
for cache_index in Path(str(simulate_block.stats.cache_path)).glob("*.nbi"):
    with suppress(FileNotFoundError):  # another process does the same
        if cache_index.stat().st_mtime < newest_source:
            cache_index.unlink()


@dataclass(frozen=True)
class SimulatedEvents:
    """A block of events. The image axes are row and column; the third axis is summed over."""

    offset: np.ndarray  # (events + 1,) int64: pixels of event i are offset[i]:offset[i + 1]
    pixel: np.ndarray  # (hits,) int32: row * image_size + column, ascending within an event, unique
    energy_mev: np.ndarray  # (hits,) float32
    pdg: np.ndarray  # (events,) int32
    kinetic_energy_mev: np.ndarray  # (events,) float32
    vertex_px: np.ndarray  # (events, 2) float32: row and column of the pixel that holds the vertex
    direction: np.ndarray  # (events, 3) float32: unit vector along row, column, projection


@dataclass(kw_only=True, eq=False)
class Simulator:
    """Simulate images of single particles in liquid argon.

    Args (units in the names):
        kinetic_energy_mev: [lowest, highest] by particle name, 1 to 2000 MeV; positrons have that of electrons.
        energy_spectrum: "flat_momentum" or "flat_kinetic_energy".
        class_mix: weight by particle name, and of positrons if they are wanted; every block of 1000 events follows the
            weights to within one.
        image_size: pixels along a side.
        pixel_cm: pitch of voxels and pixels.
        voxel_threshold_mev: voxels with less are dropped before projecting.
        cos_theta: [lowest, highest] cosine between direction and the world's z axis.
        azimuth_deg: [lowest, highest] azimuth around z, from x.
        projection_axis: "x", "y" or "z", the axis summed over; the other two, in order, are row and column.
        proton_reactions: whether protons react with nuclei.
        photoelectric_from_mev: photons with less only scatter; 0 is nature, 0.03 matches the Geant4 reference.
        recombination_field_kv_per_cm: drift field of the modified box model; 0 is no recombination.
        diffusion_cm: width of the charge cloud of a deposit; 0 is none.
        noise_mev: electronic noise of every pixel; 0 is none.
        pixel_threshold_mev: pixels up to this value, noise included, are dropped.
    """

    kinetic_energy_mev: Mapping[str, Sequence[float]] = setting(DEFAULT_ENERGIES, by_particle, interval, 1, 2000)
    energy_spectrum: str = setting("flat_momentum", choice, SPECTRA)
    class_mix: Mapping[str, float] = setting(EQUAL_MIX, by_particle, number, 0, 1e6)
    image_size: int = setting(192, whole, 8, 2048)
    pixel_cm: float = setting(0.3, number, 0.01, 10)
    voxel_threshold_mev: float = setting(0.05, number, 0, 100)
    cos_theta: Sequence[float] = setting((-1.0, 1.0), interval, -1, 1)
    azimuth_deg: Sequence[float] = setting((0.0, 360.0), interval, -360, 360)
    projection_axis: str = setting("z", choice, WORLD_AXES)
    proton_reactions: bool = setting(True, switch)
    photoelectric_from_mev: float = setting(0.03, number, 0, 0.1)
    recombination_field_kv_per_cm: float = setting(0.0, number, 0, 10)
    diffusion_cm: float = setting(0.0, number, 0, 10)
    noise_mev: float = setting(0.0, number, 0, 100)
    pixel_threshold_mev: float = setting(0.0, number, 0, 100)

    def __post_init__(self) -> None:
        for one in fields(self):
            setattr(self, one.name, one.metadata["check"](one.name, getattr(self, one.name)))
        if not sum(self.class_mix.values()) > 0:
            raise InputError("simulation.class_mix has no particle with a weight above 0: give one at least")
        if self.noise_mev > 0 and self.pixel_threshold_mev < self.noise_mev:
            raise InputError(
                f"simulation.noise_mev is {self.noise_mev:g} with a pixel threshold of {self.pixel_threshold_mev:g}: "
                "half of all pixels would light up, set pixel_threshold_mev to 3 or 4 times the noise"
            )

    def only(self, codes: Sequence[int]) -> "Simulator":
        """Return a simulator of the particles with these PDG codes alone; a positron has the weight of an electron.

        Raises:
            InputError: for a particle that cannot be simulated.
        """
        known = {one.pdg: one.name for one in MAKES}
        if unknown := [name_of(code) for code in codes if code not in known]:
            raise InputError(
                f"the simulation makes {', '.join(known.values())}, and not {', '.join(unknown)}; leave it out of "
                "data.particles, or give files with such events: data=hdf5 data.files=[a.h5]"
            )
        chosen = {known[code] for code in codes}
        weights = {POSITRON.name: self.class_mix[ELECTRON.name], **self.class_mix}
        mix = {name: weight if name in chosen else 0.0 for name, weight in weights.items()}
        if POSITRON.name not in chosen:
            del mix[POSITRON.name]
        return replace(self, class_mix=mix)

    def settings(self) -> dict[str, object]:
        """Everything that determines the sample besides seed and size, as plain numbers, words and lists."""
        return {"version": VERSION, **vars(self)}

    def blocks(self, *, events: int, seed: int, workers: int | None = None) -> Iterator[SimulatedEvents]:
        """Blocks of up to 1000 events, in order, made ahead by one thread for each core."""
        if events < 0 or seed < 0:
            raise InputError(f"simulation: events is {events} and seed {seed}: both are whole numbers from 0")
        workers = workers or _cores()
        self.block(first=0, events=0, seed=seed)  # compiles what is not yet compiled, where Ctrl-C ends it
        with ThreadPoolExecutor(workers) as pool:
            pending: deque = deque()
            for first in range(0, events, BLOCK_EVENTS):
                count = min(BLOCK_EVENTS, events - first)
                pending.append(pool.submit(self.block, first=first, events=count, seed=seed))
                if len(pending) > workers:
                    yield pending.popleft().result()[0]
            while pending:
                yield pending.popleft().result()[0]

    def block(self, *, first: int, events: int, seed: int) -> tuple[SimulatedEvents, np.ndarray]:
        """Some events from event `first` on, and their energy budgets in MeV (columns in block.py)."""
        rng, readout_rng = (np.random.Generator(np.random.PCG64(key)) for key in ([seed, first], [seed, first, 1]))
        kinds = rng.permutation(self._kinds(events, rng.random()))
        energies = self.kinetic_energy_mev
        ranges = [*(energies[one.name] for one in DEFAULT), energies.get(POSITRON.name, energies[ELECTRON.name])]
        spectra = np.array([[*pair, MASS_MEV[kind]] for kind, pair in enumerate(ranges)])
        angles = np.array([*self.cos_theta, *(math.radians(part) for part in self.azimuth_deg)])
        depth = WORLD_AXES.index(self.projection_axis)
        axes = np.array([axis for axis in range(3) if axis != depth] + [depth])
        box = (self.image_size, self.pixel_cm, self.voxel_threshold_mev)
        readout = (self.recombination_field_kv_per_cm, self.diffusion_cm, self.noise_mev, self.pixel_threshold_mev)
        settings = np.array([*box, *readout])
        tables = charged_and_photon_tables(self.proton_reactions, self.photoelectric_from_mev)
        flat_momentum = self.energy_spectrum == "flat_momentum"
        *columns, budget = simulate_block(
            kinds, spectra, flat_momentum, angles, axes, settings, tables, new_shower(COLUMNS), rng, readout_rng
        )
        if columns[0][-1] < 0:
            raise MemoryError("an event made more particles or deposits than shower.py has room for")
        offset, pixel, energy_mev, kinetic_mev, vertex_px, direction = columns
        pdg = np.array([one.pdg for one in MAKES], np.int32)[kinds]
        return SimulatedEvents(offset, pixel, energy_mev, pdg, kinetic_mev, vertex_px, direction), budget

    def _kinds(self, events: int, start: float) -> np.ndarray:
        """Class indices in the proportions of the mix, to within one (systematic sampling from a random start)."""
        weights = np.array(list(self.class_mix.values()))
        return np.searchsorted(np.cumsum(weights) / weights.sum(), (np.arange(events) + start) / events, side="right")


def _cores() -> int:
    """Cores this process may use; all of the machine's if the system does not say."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
