"""What a network sees: can it tell simulated events from Geant4's, and does it learn the same from either?

Needs a file of Geant4 events in the challenge's format, and an hour on two cores:
GEANT4_REFERENCE=geant4_reference.h5 python -m pytest -m slow tests/simulation/test_networks_on_geant4.py -rA
"""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cdmtrain import cli
from cdmtrain.data.cache import converted
from cdmtrain.data.events import EventStore
from cdmtrain.data.hdf5 import write_challenge_file
from cdmtrain.particles import NAMES, PDG_CODES
from cdmtrain.simulation import SimulatedEvents, Simulator

REFERENCE = os.environ.get("GEANT4_REFERENCE", "")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not REFERENCE, reason="GEANT4_REFERENCE names no file of Geant4 events"),
]
SIMULATED, GEANT4 = PDG_CODES[NAMES.index("electron")], PDG_CODES[NAMES.index("photon")]  # the two labels
BLOCK = 500
TRAINING = 40_000


def train(folder: Path, monkeypatch: pytest.MonkeyPatch, *words: str) -> dict[str, Any]:
    """Run `cdmtrain experiment=lecture_cnn` in a folder; its results."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["cdmtrain", "experiment=lecture_cnn", "data=hdf5", *words])
    assert cli.main() == 0
    newest = max(Path("outputs/train").glob("*/*/results.json"), key=lambda path: path.stat().st_mtime)
    return json.loads(newest.read_text())


def mixed(store: EventStore, entries: np.ndarray, simulated: list[SimulatedEvents]) -> Iterator[SimulatedEvents]:
    """Blocks of half Geant4, half simulated events in random order, labelled by where they come from."""
    rng = np.random.default_rng(1)
    for first, block in zip(range(0, len(entries), BLOCK), simulated, strict=True):
        batch = store.gather(torch.from_numpy(entries[first : first + BLOCK]))
        pixels = [
            *np.split(batch.pixel.numpy(), batch.offset.numpy()[1:-1]),
            *np.split(block.pixel, block.offset[1:-1]),
        ]
        energies = np.split(batch.energy.numpy(), batch.offset.numpy()[1:-1])
        energies += np.split(block.energy_mev, block.offset[1:-1])
        order = rng.permutation(2 * BLOCK)
        yield SimulatedEvents(
            offset=np.cumsum([0, *(len(pixels[n]) for n in order)]),
            pixel=np.concatenate([pixels[n] for n in order]),
            energy_mev=np.concatenate([energies[n] for n in order]),
            pdg=np.where(order < BLOCK, GEANT4, SIMULATED).astype(np.int32),
            kinetic_energy_mev=np.zeros(2 * BLOCK, np.float32),
            vertex_px=np.zeros((2 * BLOCK, 2), np.float32),
            direction=np.zeros((2 * BLOCK, 3), np.float32),
        )


def halves(block: SimulatedEvents) -> Iterator[SimulatedEvents]:
    """A block of 1000 events as two of 500."""
    for first in range(0, len(block.pdg), BLOCK):
        hits = slice(block.offset[first], block.offset[first + BLOCK])
        events = slice(first, first + BLOCK)
        yield SimulatedEvents(
            block.offset[first : first + BLOCK + 1] - block.offset[first],
            block.pixel[hits],
            block.energy_mev[hits],
            block.pdg[events],
            block.kinetic_energy_mev[events],
            block.vertex_px[events],
            block.direction[events],
        )


@pytest.mark.parametrize("name", NAMES)
def test_a_network_hardly_tells_simulated_from_geant4_events(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = EventStore([converted(Path(REFERENCE).resolve(), tmp_path / "cache")])
    entries = np.flatnonzero(store.class_index.numpy() == NAMES.index(name))
    entries = entries[: len(entries) // 1000 * 1000]
    simulator = Simulator(class_mix={other: float(other == name) for other in NAMES})
    simulated = [half for block in simulator.blocks(events=len(entries), seed=5) for half in halves(block)]
    write_challenge_file(
        tmp_path / "mixed.h5",
        mixed(store, entries, simulated),
        num_events=2 * len(entries),
        image_size=192,
        attributes={},
    )
    area = train(tmp_path, monkeypatch, "data.files=[mixed.h5]")["electron_photon_auc"]
    print(f"{name}: ROC area {area:.3f}, {len(entries)} simulated against as many Geant4 events")
    assert area < 0.65


def test_a_network_trained_on_simulated_events_is_as_good_on_geant4_events(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reference = Path(REFERENCE).resolve()
    geant4 = f"data.files=[{reference}]"
    own = train(tmp_path, monkeypatch, geant4, f"data.train_events={TRAINING}")["accuracy"]
    store = EventStore([converted(reference, tmp_path / "outputs/cache")])
    total = len(store)
    write_challenge_file(
        tmp_path / "train.h5", Simulator().blocks(events=TRAINING, seed=7), num_events=TRAINING, image_size=192,
        attributes={},
    )  # fmt: skip
    both = TRAINING + total  # simulated first, then the reference, of which only validation and test parts are used
    part = [f"[{(TRAINING + low * total) / both:.9f},{(TRAINING + high * total) / both:.9f}]" for low, high in
            ((0.84, 0.92), (0.92, 1))]  # fmt: skip
    words = [f"data.files=[train.h5,{reference}]", f"data.split.train=[0,{TRAINING / both:.9f}]"]
    words += [f"data.split.val={part[0]}", f"data.split.test={part[1]}"]
    other = train(tmp_path, monkeypatch, *words)["accuracy"]
    print(f"accuracy on Geant4 events: {own:.4f} trained on them, {other:.4f} trained on {TRAINING} simulated ones")
    assert other > own - 0.02
