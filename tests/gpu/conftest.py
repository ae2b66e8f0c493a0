"""An emulated CUDA device, commands on it, and events with as many hits as real ones on a small image."""

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from cdmtrain.particles import PDG_CODES
from tests.gpu.emulation.guard import why_not

IMAGE_SIZE = 67  # the least that AlexNet takes
NUM_EVENTS = 400


@pytest.fixture
def make_device() -> Callable[[], AbstractContextManager[Any]]:
    """Makes a context in which there is an emulated device, on which CUDA is not initialised yet."""
    if reason := why_not():
        pytest.skip(reason)
    from tests.gpu.emulation.device import emulated_device

    return emulated_device


@pytest.fixture
def device(make_device: Callable[[], AbstractContextManager[Any]]) -> Iterator[Any]:
    """The emulated device."""
    with make_device() as device:
        yield device


@pytest.fixture(scope="session")
def events_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Noise of a brightness that depends on the class, in about 130 pixels of an image."""
    rng, path = np.random.default_rng(1), tmp_path_factory.mktemp("events") / "events.h5"
    kind = np.arange(NUM_EVENTS) % 4
    lit = rng.random((NUM_EVENTS, IMAGE_SIZE, IMAGE_SIZE)) < 0.03
    energy = rng.gamma(2.0, size=lit.shape) * (1 + kind)[:, None, None]
    with h5py.File(path, "w") as file:
        file["image"], file["pdg"] = np.where(lit, energy, 0).astype(np.float32), np.array(PDG_CODES, np.int32)[kind]
    return path


@pytest.fixture
def cdmtrain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, events_file: Path, without_page: None
) -> Callable[..., int]:
    """Runs a command in an empty directory; its exit status. `data` are the words for the events of this file."""
    from cdmtrain import cli

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")

    def run(*words: str) -> int:
        monkeypatch.setattr(sys, "argv", ["cdmtrain", *words])
        return cli.main()

    return run


@pytest.fixture
def data(events_file: Path) -> list[str]:
    """The words that choose the events of `events_file`, 100 of them for validation and test."""
    words = ["data=hdf5", f"data.files=[{events_file}]", f"data.cache_dir={events_file.parent}"]
    split = ["data.split.train=[0,.75]", "data.split.val=[.75,.875]", "data.split.test=[.875,1]"]
    return [*words, *split, f"data.image_size={IMAGE_SIZE}", "print_config=false"]
