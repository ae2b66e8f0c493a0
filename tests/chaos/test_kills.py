"""A sweep whose process is killed at random, again and again, ends as one that was left alone.

    CDMTRAIN_KILLS=3 python -m pytest -m chaos

SIGKILL, 20 times where nothing else is said; the moments are drawn anew every time, by a seed that is printed.
"""

import csv
import json
import os
import random
import secrets
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

KILLS = int(os.environ.get("CDMTRAIN_KILLS", "20"))
JOBS = ["model=perceptron,dnn", "seed=1,2,3", "optimizer.lr=0.001,0.01"]
NUM_JOBS = 12
EPOCHS = 3
SETTINGS = ["data=hdf5", "data.image_size=16", "data.batch_size=20", "trainer=cpu", "print_config=false"]
COST = ("events_per_second", "train_seconds", "peak_memory_bytes")
PROGRAM = """
import sys
from pathlib import Path
from cdmtrain.report.leaderboard import page
import cdmtrain.tasks.train as task
from cdmtrain.cli import main
task.write_report = lambda run: Path(run)  # figures take longer than the training here
page._drawings = lambda board: {}
sys.exit(main())
"""


def start(file: Path, sweep: Path) -> subprocess.Popen[bytes]:
    saved = [f"trainer.max_epochs={EPOCHS}", "callbacks.checkpoint.every_seconds=0"]
    words = ["-m", *JOBS, *SETTINGS, *saved, f"data.files=[{file}]", f"sweep.dir={sweep}"]
    with (sweep.parent / f"{sweep.name}.log").open("ab") as log:
        return subprocess.Popen([sys.executable, "-c", PROGRAM, *words], stdout=log, stderr=log)


def states(sweep: Path) -> list[dict[str, object]]:
    return [json.loads(file.read_text()) for file in sweep.glob("*/status.json")]


def num_finished(sweep: Path) -> int:
    return sum(state["state"] == "finished" for state in states(sweep))


def wait_for_training(process: subprocess.Popen[bytes], sweep: Path) -> float:
    """Wait until the process has begun with a run; the time then."""
    while process.poll() is None and process.pid not in (state["process"] for state in states(sweep)):
        time.sleep(0.02)
    return time.monotonic()


def figures(sweep: Path) -> list[dict[str, str]]:
    """The leaderboard's columns that say how good, not how dear."""
    with (sweep / "leaderboard.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    dear = ("directories", *(f"{name}_{part}" for name in COST for part in ("mean", "spread")))
    return [{name: value for name, value in row.items() if name not in dear} for row in rows]


@pytest.mark.chaos
def test_a_sweep_killed_at_random_ends_as_one_left_alone(
    challenge_file: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = challenge_file(num_events=120)
    undisturbed, disturbed = tmp_path / "undisturbed", tmp_path / "disturbed"
    process = start(file, undisturbed)
    began = wait_for_training(process, undisturbed)
    assert process.wait(600) == 0, (tmp_path / "undisturbed.log").read_text()[-3000:]
    seconds_of_a_job = (time.monotonic() - began) / NUM_JOBS

    seed = secrets.randbelow(10**6)
    with capsys.disabled():
        print(f"\n{KILLS} kills, seed {seed}")
    moments = random.Random(seed)
    for left in range(KILLS, 0, -1):
        process = start(file, disturbed)
        wait_for_training(process, disturbed)
        rest = (NUM_JOBS - num_finished(disturbed)) * seconds_of_a_job
        time.sleep(moments.uniform(0, 1.5 * rest / (left + 1)))
        assert process.poll() is None, "the sweep was over before all kills"
        process.kill()
        process.wait()
    assert start(file, disturbed).wait(600) == 0, (tmp_path / "disturbed.log").read_text()[-3000:]

    assert [state["state"] for state in states(disturbed)] == ["finished"] * NUM_JOBS
    assert {run.name for run in disturbed.glob("*_seed*")} == {run.name for run in undisturbed.glob("*_seed*")}
    for history in disturbed.glob("*/metrics.csv"):
        with history.open(newline="") as stream:
            assert [row["epoch"] for row in csv.DictReader(stream)] == [str(n + 1) for n in range(EPOCHS)]
    assert figures(disturbed) == figures(undisturbed)
