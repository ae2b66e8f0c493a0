"""Write status.json: what a run is doing, renewed by a heartbeat so that a dead run is recognised as lost."""

import os
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from cdmtrain.atomic import write_json
from cdmtrain.errors import Preempted, Pruned
from cdmtrain.liveness import identity
from cdmtrain.runs import files
from cdmtrain.runs.process import is_first_process
from cdmtrain.runs.read import read_status
from cdmtrain.runs.records import HEARTBEAT_SECONDS, Metric, State, Status


class RunStatus:
    """Keep status.json up to date while a run is trained: "running", and afterwards how it ended.

    A run that is continued keeps its epoch and metric. Only the first process of a run on several devices writes.

    Args:
        run: the run directory.
        explain: turns an exception into the sentence that is recorded.
    """

    def __init__(self, run: Path, explain: Callable[[BaseException], str]) -> None:
        self._path = run / files.STATUS
        self._explain = explain
        self._is_silent = not is_first_process()
        self._stop = threading.Event()
        self._write_lock = threading.Lock()
        self._end_state: State = "finished"
        before = read_status(run) or Status("running")
        host, process = socket.gethostname(), os.getpid()
        self._status = Status(
            "running", host, process, identity(), started=_now(), epoch=before.epoch, metric=before.metric
        )

    def record_epoch(self, epoch: int, metric: tuple[str, float] | None, expected_end: datetime | None) -> None:
        """Record the last finished epoch, its monitored metric (name, value) and when training should end."""
        expected_end = expected_end or self._status.expected_end
        self._update(epoch=epoch, metric=Metric(*metric) if metric else None, expected_end=expected_end)

    def record_divergence(self) -> None:
        """Let the run end as diverged."""
        self._end_state = "diverged"

    def __enter__(self) -> Self:
        self._update()
        self._thread = threading.Thread(target=self._beat, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()
        if error is None:
            self._update(state=self._end_state, ended=_now())
            return
        with suppress(OSError):  # it would hide the error itself
            state, sentence = self._end_by(error)
            self._update(state=state, ended=_now(), error=sentence)

    def _end_by(self, error: BaseException) -> tuple[State, str | None]:
        """The state of a run that has ended by an exception, and the sentence that is recorded."""
        if isinstance(error, Pruned):
            return "pruned", str(error)
        if isinstance(error, Exception) and not isinstance(error, BrokenPipeError):  # as of `cdmtrain | head`
            return "failed", self._explain(error)
        return "preempted" if isinstance(error, Preempted) else "interrupted", None

    def _update(self, **changes: Any) -> None:
        with self._write_lock:
            self._status = replace(self._status, **changes, updated=_now())
            if not self._is_silent:
                _write(self._path, self._status)

    def _beat(self) -> None:
        while not self._stop.wait(HEARTBEAT_SECONDS):
            with suppress(OSError):  # a full disk may have room at the next beat
                self._update()


def write_reopened(run: Path) -> None:
    """Record that a run that had ended goes on: until it does it counts as interrupted."""
    if before := read_status(run):
        _write(run / files.STATUS, replace(before, state="interrupted", error=None, expected_end=None))


def write_submitted(run: Path) -> None:
    """Record that a job of a cluster will train the run; a run that is continued keeps its epoch and metric."""
    before = read_status(run) or Status("submitted")
    _write(run / files.STATUS, Status("submitted", updated=_now(), epoch=before.epoch, metric=before.metric))


def _write(path: Path, status: Status) -> None:
    content = asdict(status)
    times = {key: time.isoformat(timespec="seconds") for key, time in content.items() if isinstance(time, datetime)}
    write_json(path, content | times)


def _now() -> datetime:
    return datetime.now(UTC)
