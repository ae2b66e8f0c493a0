"""What is written in the challenge's format is read back, whole, by this reader and by plain h5py."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import h5py
import numpy as np
import pytest
import torch

from cdmtrain.data.cache import load_or_convert, load_or_simulate
from cdmtrain.data.hdf5 import TRUTH, ChallengeFile, write_challenge_file
from cdmtrain.data.store import EventStore
from cdmtrain.particles import PDG_CODES
from cdmtrain.simulation import Simulator


@dataclass(frozen=True)
class Block:
    """A block of events as a simulation yields them."""

    offset: np.ndarray
    pixel: np.ndarray
    energy_mev: np.ndarray
    pdg: np.ndarray
    kinetic_energy_mev: np.ndarray
    vertex_px: np.ndarray
    direction: np.ndarray


class Random:
    """A simulation of random pixels, some events without any."""

    image_size = 16

    def __init__(self, *, version: int = 1) -> None:
        self.version = version
        self.asked: list[tuple[int, int]] = []

    def settings(self) -> dict[str, Any]:
        return {"version": self.version, "image_size": self.image_size}

    def blocks(self, *, events: int, seed: int) -> Iterator[Block]:
        self.asked.append((events, seed))
        rng = np.random.default_rng(seed)
        for first in range(0, events, 7):
            yield self.block(min(7, events - first), rng)

    def block(self, events: int, rng: np.random.Generator) -> Block:
        offset = np.concatenate([[0], rng.integers(0, 30, events).cumsum()])
        size = self.image_size**2
        pixels = [np.sort(rng.choice(size, number, replace=False)) for number in np.diff(offset)]
        return Block(
            offset=offset,
            pixel=np.concatenate(pixels).astype(np.int32),
            energy_mev=rng.gamma(2, size=offset[-1]).astype(np.float32),
            pdg=rng.choice(np.array(PDG_CODES, np.int32), events),
            kinetic_energy_mev=rng.random(events, np.float32),
            vertex_px=rng.random((events, 2), np.float32),
            direction=rng.random((events, 3), np.float32),
        )


def dense(blocks: list[Block], image_size: int) -> np.ndarray:
    """The images of blocks, pixel by pixel."""
    images = []
    for block in blocks:
        for first, last in zip(block.offset[:-1], block.offset[1:], strict=True):
            image = np.zeros(image_size**2, np.float32)
            for hit in range(first, last):
                image[block.pixel[hit]] = block.energy_mev[hit]
            images.append(image.reshape(image_size, image_size))
    return np.array(images)


@pytest.fixture
def written(tmp_path):
    """Writes blocks to events.h5."""

    def write(blocks, *, num_events, image_size=16, attributes=None):
        path = tmp_path / "events.h5"
        write_challenge_file(
            path, blocks, num_events=num_events, image_size=image_size, attributes=attributes or {"generator": "test"}
        )
        return path

    return write


@pytest.mark.parametrize("num_events", [1, 7, 8, 30])
def test_what_is_written_is_read_back(num_events, written):
    blocks = list(Random().blocks(events=num_events, seed=1))
    images = dense(blocks, 16)
    path = written(blocks, num_events=num_events, attributes={"generator": "test", "seed": 3, "pitch_cm": 0.25})
    with h5py.File(path) as file:
        np.testing.assert_array_equal(file["image"][:], images)
        assert {name: (file[name].shape, file[name].dtype) for name in file} == {
            "image": ((num_events, 16, 16), np.float32),
            "pdg": ((num_events,), np.int32),
            "index": ((num_events,), np.int32),
            "mean": ((1,), np.float64),
            "std": ((1,), np.float64),
            "kinetic_energy_mev": ((num_events,), np.float32),
            "vertex_px": ((num_events, 2), np.float32),
            "direction": ((num_events, 3), np.float32),
        }
        np.testing.assert_array_equal(file["pdg"][:], np.concatenate([block.pdg for block in blocks]))
        np.testing.assert_array_equal(file["index"][:], np.arange(num_events))
    with ChallengeFile(path) as file:
        assert file.attributes == {"generator": "test", "seed": 3, "pitch_cm": 0.25}
        assert (file.num_events, file.image_size) == (num_events, 16)
        for name in TRUTH:
            expected = np.concatenate([getattr(block, name) for block in blocks])
            np.testing.assert_array_equal(file.truth[name], expected)


@pytest.mark.parametrize("num_events", [1, 100])
def test_mean_and_std_are_those_of_all_pixels(num_events, written):
    blocks = list(Random().blocks(events=num_events, seed=2))
    images = dense(blocks, 16).astype(np.float64)
    with h5py.File(written(blocks, num_events=num_events)) as file:
        np.testing.assert_allclose(file["mean"][0], images.mean(), rtol=1e-12)  # float64, summed in another order
        np.testing.assert_allclose(file["std"][0], images.std(), rtol=1e-12)


def test_dark_events_alone_have_no_mean_and_no_std(written):
    block = Random().block(3, np.random.default_rng(1))
    dark = replace(block, offset=np.zeros(4, np.int64), pixel=block.pixel[:0], energy_mev=block.energy_mev[:0])
    with h5py.File(written([dark], num_events=3)) as file:
        assert (file["mean"][0], file["std"][0]) == (0, 0)
        assert not file["image"][:].any()


@pytest.mark.parametrize("error", [RuntimeError("fault"), KeyboardInterrupt(), OSError(28, "disk full")], ids=repr)
@pytest.mark.parametrize("old", [None, b"old"])
def test_an_interrupted_file_is_absent_and_an_old_one_stays(old, error, written, tmp_path):
    def interrupted():
        yield Random().block(7, np.random.default_rng(1))
        raise error

    if old is not None:
        (tmp_path / "events.h5").write_bytes(old)
    with pytest.raises(type(error)):
        written(interrupted(), num_events=14)
    assert [file.name for file in tmp_path.iterdir()] == ([] if old is None else ["events.h5"])
    assert old is None or (tmp_path / "events.h5").read_bytes() == old


@pytest.mark.parametrize("num_events", [6, 8])
def test_other_events_than_announced_leave_no_file(num_events, written, tmp_path):
    with pytest.raises((AssertionError, TypeError, ValueError)):
        written(Random().blocks(events=7, seed=1), num_events=num_events)
    assert list(tmp_path.iterdir()) == []


def assert_equal_stores(one: EventStore, other: EventStore) -> None:
    everything = torch.arange(len(one))
    for name, values in vars(one.make_batch(everything)).items():
        assert np.array_equal(values, getattr(other.make_batch(everything), name)), name
    assert torch.equal(one.index, other.index)
    assert one.truth.keys() == other.truth.keys() == set(TRUTH)
    for name, values in one.truth.items():
        assert torch.equal(values, other.truth[name]), name


def test_a_simulated_store_equals_that_of_the_written_file(written, tmp_path):
    path = written(Random().blocks(events=30, seed=5), num_events=30)
    from_file = EventStore([load_or_convert(path, tmp_path / "cache")])
    direct = EventStore([load_or_simulate(Random(), events=30, seed=5, cache_dir=tmp_path / "cache")])
    assert_equal_stores(direct, from_file)


def test_a_sample_is_simulated_once_for_its_settings_events_and_seed(tmp_path):
    first, again, newer = Random(), Random(), Random(version=2)
    stores = [
        load_or_simulate(simulation, events=events, seed=seed, cache_dir=tmp_path)
        for simulation, events, seed in [(first, 9, 1), (again, 9, 1), (again, 9, 2), (again, 8, 1), (newer, 9, 1)]
    ]
    assert first.asked == [(9, 1)]
    assert again.asked == [(9, 2), (8, 1)]
    assert stores[0] == stores[1]
    assert len(set(stores)) == 4
    assert [len(EventStore([store])) for store in stores] == [9, 9, 9, 8, 9]


def test_the_simulator_fills_a_store_and_a_file_with_the_same_events(written, tmp_path):
    simulation = Simulator(image_size=32)
    path = written(simulation.blocks(events=12, seed=3), num_events=12, image_size=32)
    from_file = EventStore([load_or_convert(path, tmp_path / "cache")])
    direct = EventStore([load_or_simulate(simulation, events=12, seed=3, cache_dir=tmp_path / "cache")])
    assert_equal_stores(direct, from_file)
    assert direct.image_size == 32
    assert torch.bincount(direct.class_index).tolist() == [3, 3, 3, 3]
    assert (direct.make_batch(torch.arange(12)).num_hits > 0).all()


@pytest.mark.parametrize("dtype", ["f2", "f8", ">f8", "u1", "i2", "i8", "u8"])
@pytest.mark.parametrize("chunks", [None, (4, 16, 16)])
def test_other_types_are_read_as_the_same_numbers_where_float32_holds_them(dtype, chunks, tmp_path):
    images = np.random.default_rng(1).integers(0, 120, (10, 16, 16)) * (np.arange(256).reshape(16, 16) % 7 == 0)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("image", data=images.astype(dtype), chunks=chunks)
    with ChallengeFile(tmp_path / "a.h5") as file:
        assert np.array_equal(dense(list(file.blocks()), 16), images)
