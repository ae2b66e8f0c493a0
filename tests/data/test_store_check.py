"""A store that lies is refused when it is opened: compiled loops would follow it out of their memory."""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cdmtrain.data.cache import load_or_convert
from cdmtrain.data.store import EventStore, is_whole
from cdmtrain.data.store_check import first_wrong_event
from cdmtrain.errors import InputError
from cdmtrain.particles import PDG_CODES


@pytest.fixture
def store(challenge_file: Callable[..., Path], tmp_path: Path) -> Path:
    return load_or_convert(challenge_file(num_events=20), tmp_path / "cache")


def columns(**changes: Callable[[np.ndarray], Any]) -> Callable[[Path], None]:
    def change(store: Path) -> None:
        found = dict(np.load(store / "events.npz"))
        with (store / "events.npz").open("wb") as stream:
            np.savez(stream, **found | {name: make(found[name]) for name, make in changes.items()})

    return change


def about(**changes: Any) -> Callable[[Path], None]:
    def change(store: Path) -> None:
        content = json.loads((store / "store.json").read_text())
        (store / "store.json").write_text(json.dumps(content | changes))

    return change


def pixels(place: int, value: int) -> Callable[[Path], None]:
    def change(store: Path) -> None:
        found = np.fromfile(store / "pixel.i32", "<i4")
        found[place] = value
        found.tofile(store / "pixel.i32")

    return change


def set_at(place: int, value: int) -> Callable[[np.ndarray], np.ndarray]:
    return lambda column: np.put(column, place, value) or column


def old(**changes: Callable[[np.ndarray], Any]) -> Callable[[Path], None]:
    """Make the columns those of version 0.1, which has class indices in place of codes, and change them."""

    def change(store: Path) -> None:
        found = dict(np.load(store / "events.npz"))
        found["class_index"] = np.searchsorted(PDG_CODES, found.pop("pdg")).astype(np.int8)
        with (store / "events.npz").open("wb") as stream:
            np.savez(stream, **found | {name: make(found[name]) for name, make in changes.items()})

    return change


LIES: dict[str, Callable[[Path], object]] = {
    "an offset beyond the hits": columns(offset=set_at(3, 10**9)),
    "a negative offset": columns(offset=set_at(3, -1)),
    "offsets that begin later": columns(offset=set_at(0, 1)),
    "offsets that end early": columns(offset=set_at(-1, 1)),
    "offsets of 32 bits": columns(offset=lambda column: column.astype(np.int32)),
    "too few offsets": columns(offset=lambda column: column[:-1]),
    "a pixel beyond the image": pixels(-1, 16 * 16),
    "a negative pixel": pixels(0, -1),
    "pixels that fall": pixels(1, 0),
    "a class of 4": old(class_index=set_at(0, 4)),
    "a class of -2": old(class_index=set_at(0, -2)),
    "classes in words": old(class_index=lambda column: column.astype("U8")),
    "fewer classes than events": old(class_index=lambda column: column[1:]),
    "codes in words": columns(pdg=lambda column: column.astype("U8")),
    "fewer codes than events": columns(pdg=lambda column: column[1:]),
    "two codes an event": columns(pdg=lambda column: np.stack([column, column], 1)),
    "objects": columns(index=lambda column: column.astype(object)),
    "an image of nothing": about(image_size=0),
    "a huge image": about(image_size=2**31),
    "a size in words": about(image_size="16"),
    "more hits than there are": about(num_hits=10**12),
    "fewer events than there are": about(num_events=3),
    "a list": lambda store: (store / "store.json").write_text("[1]"),
    "a pipe": lambda store: ((store / "store.json").unlink(), os.mkfifo(store / "store.json")),
    "a pipe of columns": lambda store: ((store / "events.npz").unlink(), os.mkfifo(store / "events.npz")),
    "a cut file": lambda store: os.truncate(store / "energy.f32", 8),
    "compressed columns": lambda store: np.savez_compressed(
        store / "events.npz", **dict(np.load(store / "events.npz"))
    ),
}


def test_a_store_of_version_0_1_has_the_codes_of_its_classes(store: Path) -> None:
    codes = EventStore([store]).pdg
    old()(store)
    assert torch.equal(EventStore([store]).pdg, codes)


@pytest.mark.parametrize("lie", LIES)
def test_a_store_that_lies_is_refused(store: Path, lie: str) -> None:
    assert len(EventStore([store])) == 20
    LIES[lie](store)
    with pytest.raises(InputError, match=f"^{store} is not a store of events"):
        EventStore([store])
    is_whole(store)  # waits for nothing


def test_many_events_are_checked_in_well_under_a_second() -> None:
    events, hits = 400_000, 100
    offset = np.arange(events + 1) * hits
    pixel = np.tile(np.arange(hits, dtype=np.int32) * 300, events)
    first_wrong_event(offset[:2], pixel[:hits], 192 * 192)  # compiles
    began = time.perf_counter()
    assert first_wrong_event(offset, pixel, 192 * 192) == -1
    assert time.perf_counter() - began < 1
