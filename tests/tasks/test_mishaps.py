"""What happens to a run is told by its files: full disks, lost permissions, Ctrl-C, two runs at once."""

import errno
import getpass
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import lightning
import pytest
import torch

from cdmtrain import cli
from tests.forked import Python

Capture = pytest.CaptureFixture[str]
TRAIN = ["model.channels=[2]", "data.image_size=16", "data.batch_size=10", "trainer=cpu", "print_config=false"]
MAIN = "import sys; from cdmtrain import cli; sys.exit(cli.main())"


def words(file: Path, run: Path, *more: str) -> list[str]:
    return ["data=hdf5", f"data.files=[{file}]", f"run_dir={run}", *TRAIN, *more]


def typed(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["cdmtrain", *words])
    return cli.main()


def status(run: Path) -> dict[str, str]:
    return json.loads((run / "status.json").read_text())


def weights(run: Path) -> dict[str, torch.Tensor]:
    return torch.load(run / "checkpoints/last.ckpt", weights_only=True)["state_dict"]


def left_over(run: Path) -> list[Path]:
    return [path for path in run.rglob("*") if path.name.endswith(".tmp")]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EACCES])
def test_a_disk_that_fails_in_mid_run_is_one_sentence_and_the_run_can_be_gone_on_with(
    tmp_path: Path,
    challenge_file: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: Capture,
    number: int,
) -> None:
    monkeypatch.chdir(tmp_path)
    file, run = challenge_file(num_events=100), tmp_path / "run"
    settings = ["trainer.max_epochs=2", "callbacks.checkpoint.every_seconds=0"]
    save = lightning.Trainer.save_checkpoint
    with monkeypatch.context() as patch:

        def fails(self: lightning.Trainer, path: Path, *args: object, **kwargs: object) -> None:
            save(self, path, *args, **kwargs)  # type: ignore[arg-type]
            if self.current_epoch == 1:  # a part of the file is there by then
                raise OSError(number, os.strerror(number), str(path))

        patch.setattr(lightning.Trainer, "save_checkpoint", fails)
        assert typed(patch, *words(file, run, *settings)) == 1
    error = capsys.readouterr().err
    assert os.strerror(number) in error
    assert "Traceback" not in error
    assert status(run)["state"] == "failed"
    assert os.strerror(number) in status(run)["error"]
    assert left_over(run) == []
    assert torch.load(run / "checkpoints/last.ckpt", weights_only=True)["epoch"] == 0
    if number == errno.ENOSPC:
        assert typed(monkeypatch, f"run={run}", "print_config=false") == 0
        assert typed(monkeypatch, *words(file, tmp_path / "other", *settings)) == 0
        other = weights(tmp_path / "other")
        assert all(torch.equal(value, other[name]) for name, value in weights(run).items())


INTERRUPTED = """
import os, signal, sys, time
from cdmtrain import cli
from cdmtrain.classifier import Classifier
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have started the tests without it
def after(place, number, times):
    method, counted = getattr(Classifier, place), [0]
    def counting(self, batch, batch_index):
        counted[0] += 1
        for _ in range(times if counted[0] == number else 0):
            os.kill(os.getpid(), signal.SIGINT)
        return method(self, batch, batch_index)
    setattr(Classifier, place, counting)
after({place!r}, {number}, {times})
sys.exit(cli.main())
"""


def interrupted(
    python: Python, run: Path, file: Path, place: str, number: int, times: int = 1
) -> subprocess.CompletedProcess[str]:
    script = INTERRUPTED.format(place=place, number=number, times=times)
    done = python(script, *words(file, run, "trainer.max_epochs=3"), folder=run.parent, page=True)
    assert done.returncode == 130
    assert "Traceback" not in done.stderr
    assert status(run)["state"] == "interrupted"
    return done


@pytest.mark.parametrize(
    ("place", "number", "step"),
    [
        ("training_step", 12, 12),  # of the second epoch's nine steps the third
        ("validation_step", 3, 27),  # of the last epoch: its end
    ],
)
def test_ctrl_c_saves_the_state_and_leaves_a_page_and_the_run_goes_on_to_the_same_end(
    tmp_path: Path,
    challenge_file: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    python: Python,
    place: str,
    number: int,
    step: int,
) -> None:
    monkeypatch.chdir(tmp_path)
    file, run = challenge_file(num_events=100), tmp_path / "run"
    done = interrupted(python, run, file, place, number)
    assert "interrupted: saving after this step; Ctrl-C again ends it at once" in done.stdout
    assert f"to resume: cdmtrain run={run}" in done.stdout
    assert f"page: {run}/report/index.html" in done.stdout
    assert "The state of this run is interrupted" in (run / "report/index.html").read_text()
    checkpoint = torch.load(run / "checkpoints/last.ckpt", weights_only=True)
    assert checkpoint["global_step"] == step
    if place == "training_step":
        assert typed(monkeypatch, f"run={run}", "print_config=false") == 0
        assert typed(monkeypatch, *words(file, tmp_path / "other", "trainer.max_epochs=3")) == 0
        other = weights(tmp_path / "other")
        assert all(torch.equal(value, other[name]) for name, value in weights(run).items())


def test_a_second_ctrl_c_ends_a_run_at_once(
    tmp_path: Path, challenge_file: Callable[..., Path], python: Python
) -> None:
    done = interrupted(python, tmp_path / "run", challenge_file(num_events=100), "training_step", 12, 2)
    assert "page:" not in done.stdout
    assert not (tmp_path / "run/report").exists()
    assert torch.load(tmp_path / "run/checkpoints/last.ckpt", weights_only=True)["global_step"] == 10


SMALL_DISK = """
import resource, signal, sys
from cdmtrain import cli
from cdmtrain.classifier import Classifier
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
step, counted = Classifier.training_step, [0]
def training_step(self, batch, batch_index):
    counted[0] += 1
    if counted[0] == 12:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))  # no file may be longer from now on
    return step(self, batch, batch_index)
Classifier.training_step = training_step
sys.exit(cli.main())
"""


def test_files_that_may_not_grow_are_one_sentence_and_earlier_checkpoints_stay_whole(
    tmp_path: Path, challenge_file: Callable[..., Path], python: Python
) -> None:
    arguments = words(challenge_file(num_events=100), tmp_path / "run", "callbacks.checkpoint.every_seconds=0")
    done = python(SMALL_DISK, *arguments, folder=tmp_path)
    assert done.returncode == 1
    assert "File too large" in done.stderr
    assert "Traceback" not in done.stderr
    assert status(tmp_path / "run")["state"] == "failed"
    assert left_over(tmp_path / "run") == []
    assert weights(tmp_path / "run")


SIMULATING = """
import logging, sys, time
from pathlib import Path
from types import SimpleNamespace
import numpy as np
from cdmtrain import lock
from cdmtrain.data.cache import load_or_simulate
logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
name, folder = sys.argv[1], Path(sys.argv[2])
begun, waiting = folder / "begun", folder / "waiting"

def until(path):
    limit = time.monotonic() + 60
    while not path.exists() and time.monotonic() < limit:
        time.sleep(0.02)

class Simulation:
    image_size = 16
    def settings(self):
        return {}
    def blocks(self, *, events, seed):
        print("simulating", flush=True)
        begun.touch()
        until(waiting)
        hits = {"offset": np.arange(events + 1), "pixel": np.arange(events, dtype=np.int32)}
        truth = {"kinetic_energy_mev": np.ones(events), "vertex_px": np.ones((events, 2))}
        truth["direction"] = np.ones((events, 3))
        yield SimpleNamespace(**hits, **truth, energy_mev=np.ones(events, np.float32), pdg=np.full(events, 11))

pause = time.sleep
def told(seconds):
    waiting.touch()
    pause(seconds)
if name == "second":
    until(begun)
    lock.time.sleep = told  # it waits
print(load_or_simulate(Simulation(), events=8, seed=1, cache_dir=folder / "cache"))
"""


def test_of_two_that_simulate_the_same_sample_one_does_it_and_the_other_waits_and_says_so(tmp_path: Path) -> None:
    running = [
        subprocess.Popen([sys.executable, "-c", SIMULATING, name, tmp_path], stdout=subprocess.PIPE, text=True)
        for name in ("first", "second")
    ]
    said = [process.communicate(timeout=120)[0].splitlines() for process in running]
    assert [process.returncode for process in running] == [0, 0]
    (store,) = [path for path in (tmp_path / "cache").iterdir() if path.is_dir()]
    assert said[0] == ["simulating", str(store)]
    owner = f"process {running[0].pid} of {getpass.getuser()} on {socket.gethostname()}"
    assert said[1] == [f"waiting for the simulation of the same sample by {owner}", str(store)]
