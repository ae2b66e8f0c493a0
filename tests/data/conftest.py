"""Files with any image and any layout, and the dense images of a batch, to compare bit for bit."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from cdmtrain.batch import EventBatch
from cdmtrain.data.cache import load_or_convert
from cdmtrain.data.datamodule import Hdf5Data
from cdmtrain.data.hdf5 import ChallengeFile
from cdmtrain.data.split import FractionSplit
from cdmtrain.data.store import EventStore
from cdmtrain.particles import PDG_CODES
from tests.data.samples import FRACTIONS


@pytest.fixture
def write_images(tmp_path: Path) -> Callable[..., Path]:
    """Writes these images: write_images(images, "a.h5", columns={"index": ...}, compression="gzip")."""

    def write(images: np.ndarray, name: str = "events.h5", *, columns: Any = None, **layout: Any) -> Path:
        codes = np.array(PDG_CODES, np.int32)[np.arange(len(images)) % len(PDG_CODES)]
        with h5py.File(tmp_path / name, "w") as file:
            file.create_dataset("image", data=images, **layout)
            for column, values in ({"pdg": codes} if columns is None else columns).items():
                file[column] = values
        return tmp_path / name

    return write


@pytest.fixture
def random_images() -> Callable[..., np.ndarray]:
    """Images of any finite, not negative float32, subnormal ones too; a fifth of the pixels is lit."""

    def make(num_events: int, image_size: int, seed: int = 1) -> np.ndarray:
        rng = np.random.default_rng(seed)
        shape = (num_events, image_size, image_size)
        bits = rng.integers(0, 0x7F800000, shape, np.uint32)  # infinity's bits, exclusive
        bits[rng.random(shape) < 0.02] = rng.integers(1, 0x00800000)  # subnormal
        bits[rng.random(shape) < 0.8] = 0
        return bits.view(np.float32)

    return make


@pytest.fixture
def store_of(tmp_path: Path) -> Callable[..., EventStore]:
    """The store of these files."""
    return lambda *files: EventStore([load_or_convert(file, tmp_path / "cache") for file in files])


@pytest.fixture
def bits_of() -> Callable[[EventBatch], np.ndarray]:
    """The dense images of a batch, as the bits of their float32."""

    def dense(batch: EventBatch) -> np.ndarray:
        images = np.zeros((batch.num_events, batch.image_size**2), np.float32)
        images[batch.event.numpy(), batch.pixel.numpy()] = batch.energy.numpy()
        return images.view(np.uint32).reshape(-1, batch.image_size, batch.image_size)

    return dense


@pytest.fixture
def cache_dir(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def blocks_read(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Files whose images were read."""
    paths, blocks = [], ChallengeFile.blocks

    def counted(file: ChallengeFile) -> Iterator:
        paths.append(file.path)
        return blocks(file)

    monkeypatch.setattr(ChallengeFile, "blocks", counted)
    return paths


@pytest.fixture
def settings(tmp_path):
    """What every data module is given; settings(batch_size=5) changes one of them."""

    def make(**changed):
        usual = {"image_size": 16, "batch_size": 10, "train_events": None, "seed": 1}
        return {"split": FractionSplit(**FRACTIONS), "cache_dir": str(tmp_path / "cache"), **usual, **changed}

    return make


@pytest.fixture
def hdf5_data(challenge_file, settings):
    """A data module of a file of 60 events, set up."""

    def make(**changed):
        data = Hdf5Data(files=[str(challenge_file())], **settings(**changed))
        data.prepare_data()
        data.setup()
        return data

    return make
