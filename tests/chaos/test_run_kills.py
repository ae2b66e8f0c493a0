"""A training killed at random while it converts, trains, saves or draws, again and again, ends as one left alone.

    CDMTRAIN_KILLS=5 python -m pytest -m chaos

SIGKILL, 50 times where nothing else is said; moments are drawn anew every time, by a seed that is printed.
"""

import csv
import json
import os
import random
import secrets
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch

from cdmtrain.data.store import is_whole
from tests.chaos.conftest import Server

KILLS = int(os.environ.get("CDMTRAIN_KILLS", "50"))
SETTINGS = "data=hdf5 data.image_size=64 data.batch_size=10 data.split.train=[0,.01] data.split.val=[.5,.505] "
SETTINGS += "data.split.test=[.9,.905] model=cnn model.channels=[2,2,2] augmentation=symmetries trainer=cpu "
SETTINGS += "trainer.max_epochs=3 callbacks.checkpoint.every_seconds=0 print_config=false"
TIMES = ("epoch_seconds", "events_per_second", "train_seconds", "peak_memory_bytes")

SIGNS = {"conversion": "cache/.*.tmp", "training": "cache/*/store.json", "reporting": "run/results.json"}  # of a phase


@dataclass
class Life:
    """One run from nothing to its page, whatever happens to its processes."""

    folder: Path
    file: Path
    server: Server

    @property
    def run(self) -> Path:
        return self.folder / "run"

    @property
    def cache(self) -> Path:
        return self.folder / "cache"

    def has_reached(self, phase: str) -> bool:
        return any(self.folder.glob(SIGNS[phase])) if phase in SIGNS else False

    def start(self) -> None:
        """Begin or go on."""
        self.server.start(f"{SETTINGS} data.files=[{self.file}] data.cache_dir={self.cache} run_dir={self.run}")


def undisturbed(life: Life) -> dict[str, float]:
    """Let it live; how long each phase took."""
    life.start()
    began: dict[str, float] = {}
    while not life.server.has_ended(0.002):
        for phase in SIGNS:
            if phase not in began and life.has_reached(phase):
                began[phase] = time.monotonic()
    assert life.server.status() == 0
    ends = [*list(began.values())[1:], time.monotonic()]
    return {phase: end - start for (phase, start), end in zip(began.items(), ends, strict=True)}


def killed(life: Life, phase: str, seconds: float) -> bool:
    """Start, and kill so many seconds after a phase has begun; False where it has ended well before."""
    life.start()
    ended = False
    while not ended and not life.has_reached(phase):
        ended = life.server.has_ended(0.002)
    if not ended and not life.server.has_ended(seconds):
        life.server.kill()
    return life.server.status() == signal.SIGKILL


def check_whole(life: Life) -> None:
    """Every file that has its name can be read to its end."""
    for path in (path for path in life.run.rglob("*") if path.is_file() and not path.name.startswith(".")):
        content = path.read_bytes()
        match path.suffix:
            case ".json":
                json.loads(content)
            case ".ckpt":
                torch.load(path, weights_only=True)
            case ".h5":
                opened(path)
            case ".html":
                assert content.rstrip().endswith(b"</html>"), path
            case ".png":
                assert content.endswith(b"IEND\xaeB`\x82"), path
            case _:
                assert content.endswith(b"\n"), path
    stores = [path for path in life.cache.glob("*") if not path.name.startswith(".")]
    assert all(is_whole(store) for store in stores)


def opened(path: Path) -> dict[str, np.ndarray]:
    with h5py.File(path) as file:
        return {name: file[name][:] for name in file}


def figures(run: Path) -> dict[str, Any]:
    """Everything that a run says of its training and its events but how long it took."""
    with (run / "metrics.csv").open(newline="") as stream:
        rows = [{name: value for name, value in row.items() if name not in TIMES} for row in csv.DictReader(stream)]
    results = json.loads((run / "results.json").read_text())
    return {"rows": rows, "results": {name: value for name, value in results.items() if name not in TIMES}}


def same(one: Life, other: Life) -> bool:
    """Whether two runs ended with the same weights, figures and predictions, to the bit."""
    states = [
        [
            torch.load(life.run / f"checkpoints/{name}.ckpt", weights_only=True)["state_dict"]
            for name in ("best", "last")
        ]
        for life in (one, other)
    ]
    weights = all(
        a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a) for a, b in zip(*states, strict=True)
    )
    said, again = (opened(life.run / "predictions.h5") for life in (one, other))
    return (
        weights
        and figures(one.run) == figures(other.run)
        and all(np.array_equal(said[name], again[name]) for name in said)
    )


@pytest.mark.chaos
def test_a_run_killed_at_random_ends_as_one_left_alone(
    challenge_file: Callable[..., Path],
    tmp_path: Path,
    server: Server,
    capsys: pytest.CaptureFixture[str],
) -> None:
    small, file = challenge_file("small.h5", num_events=500, image_size=64), tmp_path / "events.h5"
    with h5py.File(small) as source, h5py.File(file, "w") as target:
        target["pdg"] = np.tile(source["pdg"][:], 20)
        target.create_dataset("image", data=np.tile(source["image"][:], (20, 1, 1)), chunks=(50, 64, 64), compression=1)
    reference = Life(tmp_path / "reference", file, server)
    seconds = undisturbed(reference)

    seed = secrets.randbelow(10**6)
    moments, kills = random.Random(seed), Counter[str]()
    lives = 0
    while kills.total() < KILLS:
        lives += 1
        life = Life(tmp_path / f"life{lives}", file, server)
        phase = moments.choice([*SIGNS])
        while killed(life, phase, moments.uniform(0, seconds.get(phase, 0))):
            check_whole(life)
            kills[phase] += 1
            phase = moments.choice([*SIGNS]) if kills.total() < KILLS else "never"
        assert same(reference, life), f"seed {seed}, life {lives}"
        assert json.loads((life.run / "status.json").read_text())["state"] == "finished"
        assert list(life.folder.rglob("*.tmp")) == []  # what killed processes left is removed
    with capsys.disabled():
        print(f"\nseed {seed}: {lives} lives, {dict(kills)} kills", end=" ")
