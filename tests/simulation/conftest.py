"""One sample of the default simulator and one slice of Geant4, as one row of figures an event."""

from pathlib import Path

import numpy as np
import pytest

from cdmtrain.particles import PDG_CODES
from cdmtrain.simulation import SimulatedEvents, Simulator

Figures = dict[str, np.ndarray]


def figures(events: SimulatedEvents, image_size: int = 192) -> Figures:
    """What is compared: pixels, energy, brightest pixel, vertex to the nearest edge."""
    starts, energy = events.offset[:-1], events.energy_mev.astype(float)
    to_edge = np.minimum(events.vertex_px, image_size - 1 - events.vertex_px).min(axis=1)
    return {
        "pdg": events.pdg,
        "lit_pixels": np.diff(events.offset),
        "sum_mev": np.add.reduceat(energy, starts),
        "sum_of_squares_mev2": np.add.reduceat(energy**2, starts),
        "brightest_mev": np.maximum.reduceat(energy, starts),
        "vertex_to_edge_px": to_edge,
    }


@pytest.fixture(scope="session")
def simulated() -> Figures:
    """16 000 events of the default settings."""
    blocks = [figures(block) for block in Simulator().blocks(events=16000, seed=11)]
    return {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}


@pytest.fixture(scope="session")
def geant4() -> Figures:
    """8 000 events of Geant4 11.4.p01 with the default energies, box and threshold (figures only, not pixels)."""
    with np.load(Path(__file__).parent / "geant4_slice.npz") as slice_:
        return {name: slice_[name] for name in slice_.files}


@pytest.fixture(params=PDG_CODES, ids=("electron", "muon", "photon", "proton"))
def both(request: pytest.FixtureRequest, simulated: Figures, geant4: Figures) -> tuple[Figures, Figures]:
    """Simulated and Geant4 events of one class."""
    one, other = (
        {name: column[sample["pdg"] == request.param] for name, column in sample.items()}
        for sample in (simulated, geant4)
    )
    return one, other
