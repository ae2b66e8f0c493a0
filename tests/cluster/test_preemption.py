"""A training whose machine is taken away by a cluster of one shell script; tests/cluster has a real one."""

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from cdmtrain import cli
from cdmtrain.classifier import Classifier
from cdmtrain.errors import Preempted

RUN = "model=dnn model.width=4 data=hdf5 data.image_size=8 data.batch_size=10 trainer=cpu trainer.max_epochs=2"
STEPS = 5  # of an epoch

SCONTROL = """#!/bin/sh
echo "$@" >>{calls}
echo "JobId=7 JobState={state} Restarts={restarts}"
"""


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, challenge_file: Callable[..., Path]) -> Callable[..., int]:
    """Trains in a job of a cluster whose scontrol knows it as told; job(name, hook, signal) is signalled in a hook."""
    file = challenge_file(num_events=60, image_size=8)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("cdmtrain.tasks.train.write_report", lambda run: run)  # pages have tests of their own
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setenv("SLURM_JOB_ID", "7")

    def train(
        name: str,
        hook: str = "",
        number: int = 0,
        *more: str,
        at: int = 4,
        state: str = "RUNNING",
        restarts: int = 0,
    ) -> int:
        scontrol = tmp_path / "scontrol"
        scontrol.write_text(SCONTROL.format(calls=tmp_path / "calls", state=state, restarts=restarts))
        scontrol.chmod(0o755)
        words = [*RUN.split(), *more, f"data.files=[{file}]", f"run_dir={name}", "print_config=false"]
        monkeypatch.setattr(sys, "argv", ["cdmtrain", *words])
        with monkeypatch.context() as patch:
            if hook:
                patch.setattr(Classifier, hook, signalled(getattr(Classifier, hook), number, at))
            try:
                return cli.main()
            except SystemExit as error:
                return int(error.code or 0)

    return train


def signalled(method: Callable[..., Any], number: int, at: int) -> Callable[..., Any]:
    """The method, in whose call of that number, of a validation in the first, this process gets the signal."""
    calls = [0]

    def call(self: Classifier, batch: Any, batch_idx: int) -> Any:
        calls[0] += 1
        if calls[0] == at or method.__name__ == "validation_step":
            os.kill(os.getpid(), number)
        return method(self, batch, batch_idx)

    return call


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """Those that a new process would have, as a preempted one ignores the signals."""
    before = {number: signal.getsignal(number) for number in (signal.SIGUSR2, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def checkpoint(run: str) -> dict[str, Any]:
    return torch.load(Path(run) / "checkpoints/last.ckpt", weights_only=True)


def state(run: str) -> str:
    return str(json.loads((Path(run) / "status.json").read_text())["state"])


def test_a_preempted_run_saves_at_the_end_of_the_step_is_queued_again_and_ends_bit_identical(
    job: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGUSR2, signal.SIGTERM)]
    assert job("undisturbed") == 0
    assert job("run", "training_step", signal.SIGUSR2) == Preempted().code
    assert state("run") == "preempted"
    assert checkpoint("run")["global_step"] == 4
    assert (tmp_path / "calls").read_text().splitlines() == ["show job 7", "requeue 7"]
    assert "SIGUSR2: saving the run" in capsys.readouterr().out
    assert [signal.getsignal(signal.SIGUSR2), signal.getsignal(signal.SIGTERM)] == [signal.SIG_IGN] * 2
    for number, handler in zip((signal.SIGUSR2, signal.SIGTERM), before, strict=True):
        signal.signal(number, handler)  # a new process would have them

    assert job("run") == 0
    assert state("run") == "finished"
    one, other = checkpoint("undisturbed")["state_dict"], checkpoint("run")["state_dict"]
    assert all(torch.equal(value, other[name]) for name, value in one.items())


@pytest.mark.parametrize(
    ("hook", "known", "exit_status", "left", "calls"),
    [
        ("training_step", {"state": "COMPLETING", "restarts": 1}, Preempted().code, "preempted", ["show job 7"]),
        ("training_step", {"state": "CANCELLED"}, 130, "interrupted", ["show job 7"]),
        ("validation_step", {"state": "RUNNING"}, Preempted().code, "preempted", ["show job 7", "requeue 7"]),
    ],
)
def test_the_queue_says_whether_a_run_that_is_told_to_end_comes_back(
    job: Callable[..., int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    hook: str,
    known: dict[str, Any],
    exit_status: int,
    left: str,
    calls: list[str],
) -> None:
    assert job("run", hook, signal.SIGTERM, **known) == exit_status
    assert state("run") == left
    assert (tmp_path / "calls").read_text().splitlines() == calls


def test_a_run_preempted_in_its_last_step_has_saved_its_end(job: Callable[..., int]) -> None:
    settings = ["trainer.max_epochs=3", "trainer.check_val_every_n_epoch=2"]  # the last epoch is not validated
    assert job("run", "training_step", signal.SIGTERM, *settings, at=3 * STEPS) == Preempted().code
    assert state("run") == "preempted"
    assert checkpoint("run")["callbacks"]["RunCheckpoint"]["finished"]
    assert checkpoint("run")["global_step"] == 3 * STEPS
