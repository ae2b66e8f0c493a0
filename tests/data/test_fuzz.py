"""Damage of every kind, drawn by hypothesis: the reader gives whole events or one sentence, and never ends the process.

    CDMTRAIN_FUZZ_SECONDS=600 python -m pytest -m slow tests/data/test_fuzz.py

A minute where nothing else is said. It reads in a process of its own, which a fault of the HDF5 library may end.
"""

import os
import resource
import secrets
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from cdmtrain.data.cache import load_or_convert
from cdmtrain.data.hdf5 import ChallengeFile
from cdmtrain.data.store import EventStore
from cdmtrain.data.stream import stream_batches
from cdmtrain.errors import InputError
from cdmtrain.particles import DEFAULT

SECONDS = float(os.environ.get("CDMTRAIN_FUZZ_SECONDS", "60"))
MEMORY_BYTES = 8 * 2**30  # of address space, most of it libraries
NUM_EVENTS, SIZE = 12, 16
LAYOUTS = {
    "contiguous": {},
    "gzip": {"chunks": (4, SIZE, SIZE), "compression": "gzip"},
    "shuffled": {"chunks": (5, SIZE, SIZE), "compression": "gzip", "shuffle": True},
    "checked": {"chunks": (3, 8, 8), "compression": "lzf", "fletcher32": True},
    "unlimited": {"chunks": (2, SIZE, SIZE), "maxshape": (None, SIZE, SIZE)},
}
NUMBERS = [0, 1, 2, 255, 2**15 - 1, 2**16 - 1, 2**31 - 1, 2**32 - 1, 2**63 - 1, 2**64 - 1]

# most of what describes a file stands at its beginning
place = st.integers(0, 4095) | st.integers(0, 2**20)
number = st.sampled_from(NUMBERS) | st.integers(0, 2**64)
damage = st.one_of(
    st.tuples(
        st.just("number"), place, st.sampled_from([1, 2, 4, 8]), st.sampled_from(NUMBERS) | st.integers(0, 2**64)
    ),
    st.tuples(st.just("bit"), place, st.integers(0, 7)),
    st.tuples(st.just("cut"), place),
    st.tuples(st.just("drop"), place, st.integers(1, 64)),
    st.tuples(st.just("insert"), place, st.binary(min_size=1, max_size=16)),
    st.tuples(st.just("copy"), place, place, st.integers(1, 512)),
)


def good(layout: str, libver: str) -> bytes:
    """A file of the format with everything it may hold."""
    rng = np.random.default_rng(1)
    images = rng.gamma(2, size=(NUM_EVENTS, SIZE, SIZE)).astype(np.float32)
    images[images < 4] = 0
    path = Path(f"good_{layout}_{libver}.h5")
    if not path.exists():
        with h5py.File(path, "w", libver=libver) as file:
            file.create_dataset("image", data=images, **LAYOUTS[layout])
            file["pdg"] = np.tile(np.array([11, 13, 22, 2212], np.int32), NUM_EVENTS // 4)
            file["index"] = np.arange(NUM_EVENTS, dtype=np.int32)
            file["mean"] = np.array([images.mean()], np.float64)
            file.create_dataset("kinetic_energy_mev", data=np.ones(NUM_EVENTS), chunks=(5,), compression="gzip")
            file["vertex_px"] = np.ones((NUM_EVENTS, 2), np.float32)
            file.attrs["seed"] = 7
    return path.read_bytes()


def damaged(content: bytes, kind: str, at: int, *more: int | bytes) -> bytes:
    """The bytes with one damage."""
    at %= len(content) or 1
    before, after = content[:at], content[at:]
    match kind, *more:
        case "number", int(width), int(value):
            return before + (value % 256**width).to_bytes(width, "little") + after[width:]
        case "bit", int(bit) if after:
            return before + bytes([after[0] ^ 1 << bit]) + after[1:]
        case "drop", int(count):
            return before + after[count:]
        case "insert", bytes(new):
            return before + new + after
        case "copy", int(target), int(count):
            target %= len(content) or 1
            return content[:target] + after[:count] + content[target + len(after[:count]) :]
    return before


def read(content: bytes) -> None:
    """Read the file in both ways: they agree, or both say in a sentence what is wrong."""
    path = Path("bad.h5")
    path.write_bytes(content)
    found = []
    for way in (lambda: by_cache(path), lambda: by_stream(path)):
        try:
            found.append(way())
        except InputError as error:
            assert "bad.h5" in str(error)  # noqa: PT017
            assert "\n" not in str(error)  # noqa: PT017
            found.append(None)
    if None not in found:
        assert all(np.array_equal(one, other) for one, other in zip(*found, strict=True))
    else:
        assert found == [None, None]


def by_cache(path: Path) -> tuple[np.ndarray, ...]:
    store = EventStore([load_or_convert(path, Path("cache"))])
    batch = store.make_batch(torch.arange(len(store)))
    return batch.offset.numpy(), batch.pixel.numpy(), batch.energy.numpy(), batch.class_index.numpy()


def by_stream(path: Path) -> tuple[np.ndarray, ...]:
    with ChallengeFile(path) as file:
        batches = list(stream_batches(file, DEFAULT, batch_size=5))
    offset = np.concatenate([[0], np.cumsum(np.concatenate([np.diff(batch.offset.numpy()) for batch in batches]))])
    parts = ([getattr(batch, name).numpy() for batch in batches] for name in ("pixel", "energy", "class_index"))
    return offset, *map(np.concatenate, parts)


def fuzz(number: int, seconds: float) -> None:
    """Damage files until the time is over; says how many."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    end, count = time.monotonic() + seconds, 0

    def one(layout: str, libver: str, damages: list[tuple[str, int]]) -> None:
        nonlocal count
        if time.monotonic() > end:
            return
        content = good(layout, libver)
        for each in damages:
            content = damaged(content, *each)
        read(content)
        count += 1

    drawn = given(st.sampled_from(list(LAYOUTS)), st.sampled_from(["earliest", "latest"]), st.lists(damage, min_size=1))
    many = settings(max_examples=2000, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    while time.monotonic() < end:
        seed(number)(many(drawn(one)))()
        number += 1
    print(f"{count} files")


@pytest.mark.slow
def test_no_damage_of_a_file_ends_in_anything_but_events_or_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    number = secrets.randbelow(10**6)
    with capsys.disabled():
        print(f"\n{SECONDS:.0f} s from seed {number}", end=" ")
    done = subprocess.run(
        [sys.executable, __file__, str(number), str(SECONDS)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{tmp_path / 'bad.h5'} was read last: {done.stderr[-3000:]}"
    with capsys.disabled():
        print(done.stdout.strip(), end=" ")


if __name__ == "__main__":
    fuzz(int(sys.argv[1]), float(sys.argv[2]))
