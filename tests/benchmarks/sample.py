"""The events of the comparison: simulated once, as a contiguous file and as stores of any size."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from hydra import compose, initialize_config_module
from hydra.utils import instantiate
from omegaconf import DictConfig

import cdmtrain.cli  # noqa: F401  registers the resolvers that the configuration uses
from cdmtrain.data.cache import load_or_simulate
from cdmtrain.data.event_data import EventData
from cdmtrain.particles import PDG_CODES
from cdmtrain.representation.image import ImageRepresentation

EVENTS = 8000  # simulated; larger samples are these over and over
CONVERTED = 16_000  # in the contiguous file: 2.4 GB, so that what a conversion costs once is a small share
MANY = 400_000  # the challenge's training file


def config(cache_dir: Path, *words: str, events: int = EVENTS) -> DictConfig:
    """The configuration of `cdmtrain data=simulated ...` on the processor."""
    own = [f"data.events={events}", f"data.cache_dir={cache_dir}", "trainer=cpu", "print_config=false"]
    with initialize_config_module("cdmtrain.conf", version_base="1.3"):
        return compose("config", overrides=[*own, *words])


def opened(cfg: DictConfig) -> EventData:
    data: EventData = instantiate(cfg.data)
    data.setup()
    return data


class Recorded:
    """The simulation with its first `EVENTS` events for all others: any number of events, at the cost of copying."""

    def __init__(self, simulation: Any, seed: int) -> None:
        self.image_size = simulation.image_size
        self.settings = simulation.settings
        self.recorded = list(simulation.blocks(events=EVENTS, seed=seed))

    def blocks(self, *, events: int, seed: int) -> Iterator[Any]:
        return itertools.islice(itertools.cycle(self.recorded), len(self.recorded) * events // EVENTS)


def make_stores(cache_dir: Path, *sizes: int) -> None:
    """Samples of these numbers of events, multiples of EVENTS, where `cdmtrain data.events=SIZE` looks for them."""
    cfg = config(cache_dir)
    recorded = Recorded(instantiate(cfg.simulation), cfg.data.sample_seed)
    for size in sizes:
        load_or_simulate(recorded, events=size, seed=cfg.data.sample_seed, cache_dir=cache_dir)


def write_contiguous(path: Path, cache_dir: Path) -> None:
    """CONVERTED events as dense images one after another, neither chunked nor compressed: as the challenge's file."""
    data, represent = opened(config(cache_dir, events=CONVERTED)), ImageRepresentation()
    size = data.store.image_size
    with h5py.File(path, "w") as file:
        image = file.create_dataset("image", (len(data.store), size, size), np.float32)
        for dataset_index in torch.arange(len(data.store)).split(100):
            dense = represent(data.store.make_batch(dataset_index)).energy
            image[int(dataset_index[0]) : int(dataset_index[-1]) + 1] = dense.squeeze(1).numpy()
        file["pdg"] = np.array(PDG_CODES, np.int32)[data.store.class_index.numpy()]
