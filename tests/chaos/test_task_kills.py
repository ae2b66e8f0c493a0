"""An export, a leaderboard and a search killed at random, again and again, end as those left alone.

    CDMTRAIN_KILLS=5 python -m pytest -m chaos

SIGKILL, 10 times each where nothing else is said; moments are drawn anew every time, by a seed that is printed.
"""

import json
import os
import random
import secrets
import signal
import time
from collections.abc import Callable
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest
import torch
import yaml

from tests.chaos.conftest import Server

KILLS = int(os.environ.get("CDMTRAIN_KILLS", "10"))
OLD_RUN = Path(__file__).parents[1] / "fixtures/run_0_1"
ENDS = {".csv": b"\n", ".md": b"\n", ".html": b"</html>\n", ".png": b"IEND\xaeB`\x82"}
SEARCH = "task=search search=dnn trials=3 data.image_size=16 data.batch_size=10 trainer=cpu print_config=false "
SEARCH += "trainer.max_epochs=3 callbacks.checkpoint.every_seconds=0"


def exported(folder: Path) -> list[Any]:
    """The probabilities that each exported file computes."""
    images = torch.rand(3, 16, 16, generator=torch.Generator().manual_seed(1))
    found = [torch.export.load(file).module()(images).tolist() for file in folder.glob("network.pt2")]
    for file in folder.glob("network.onnx"):
        session = pytest.importorskip("onnxruntime").InferenceSession(str(file), providers=["CPUExecutionProvider"])
        found.append(session.run(None, {"image": images.numpy()})[0].tolist())
    return found


def leaderboard(folder: Path) -> list[Any]:
    for file in folder.rglob("leaderboard*"):
        assert file.is_dir() or file.read_bytes().endswith(ENDS[file.suffix]), file
    for file in folder.glob("leaderboard/*"):
        assert file.name.startswith(".") or file.read_bytes().endswith(ENDS[file.suffix]), file
    return [(file.name, file.read_bytes()) for file in sorted(folder.glob("leaderboard*/**/*.*")) if file.is_file()]


def study(folder: Path) -> list[Any]:
    for file in folder.rglob("*.json"):
        json.loads(file.read_text())
    trials = []
    for trial in sorted(folder.glob("study/trial_*")):
        for checkpoint in trial.glob("checkpoints/[!.]*.ckpt"):
            torch.load(checkpoint, weights_only=True)
        if (trial / "results.json").exists():
            weights = torch.load(trial / "checkpoints/last.ckpt", weights_only=True)["state_dict"]
            config = yaml.safe_load((trial / "config.yaml").read_text())
            results = json.loads((trial / "results.json").read_text())
            trials.append([config["optimizer"], results["cross_entropy"], *(one.tolist() for one in weights.values())])
    experiments = [yaml.safe_load(file.read_text()) for file in sorted(folder.glob("study/experiment/*.yaml"))]
    return [*trials, *experiments]


DATA = "data=hdf5 data.files=[runs/one/events.h5] data.cache_dir=cache"
TASKS: dict[str, tuple[str, Callable[[Path], list[Any]]]] = {
    "torch": (f"task=export run=runs/one {DATA} data.image_size=16 format=torch output=FOLDER/network.pt2", exported),
    "onnx": (f"task=export run=runs/one {DATA} data.image_size=16 format=onnx output=FOLDER/network.onnx", exported),
    "leaderboard": ("task=report runs=runs output=FOLDER", leaderboard),
    "search": (f"{SEARCH} study=FOLDER/study {DATA}", study),
}


@pytest.mark.chaos
@pytest.mark.parametrize("name", TASKS)
def test_a_task_killed_at_random_ends_as_one_left_alone(
    name: str, tmp_path: Path, server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    words, content = TASKS[name]
    for run in ("one", "two"):
        copytree(OLD_RUN, tmp_path / "runs" / run)
    for life in ("warm", "reference"):  # the first one imports what the task needs
        began = time.monotonic()
        server.start(words.replace("FOLDER", life))
        assert server.status() == 0
        seconds = time.monotonic() - began
    expected = content(tmp_path / "reference")
    assert expected

    seed = secrets.randbelow(10**6)
    moments, kills, lives = random.Random(seed), 0, 0
    while kills < KILLS:
        lives += 1
        folder, was_killed = tmp_path / f"life{lives}", True
        while was_killed:
            server.start(words.replace("FOLDER", folder.name))
            if kills < KILLS and not server.has_ended(moments.uniform(0, seconds)):
                server.kill()
            was_killed = server.status() == signal.SIGKILL
            kills += was_killed
            found = content(folder)  # whole, however far it is
            if name in ("torch", "onnx") and found:
                break  # killed with its file in place: once more, it would refuse to replace it
        assert found == expected, f"seed {seed}, life {lives}"
        assert [*folder.rglob("*.tmp")] == []
    with capsys.disabled():
        print(f"\n{name}, seed {seed}: {kills} kills in {lives} lives of {seconds:.1f} s", end=" ")
