"""status.json: what a run is doing, with a heartbeat, so that a stale "running" is known for lost."""

import json
import os
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import lightning
from lightning.pytorch.callbacks import Callback

from cdmtrain.atomic import write_json
from cdmtrain.errors import Preempted, Pruned
from cdmtrain.runs.directory import is_first_process

HEARTBEAT_SECONDS = 30


class RunStatus:
    """Keeps `path` true from entry to exit: running, then finished, failed or pruned (why), preempted or interrupted.

    Args:
        path: of status.json.
        explain: gives the sentence of an exception.

    Of the processes of a run on several devices only the first writes.
    """

    def __init__(self, path: Path, explain: Callable[[BaseException], str]) -> None:
        self._silent = not is_first_process()
        self._path = path
        self._explain = explain
        self._stop = threading.Event()
        self._write_lock = threading.Lock()
        self._content: dict[str, Any] = {
            "state": "running",
            "host": socket.gethostname(),
            "process": os.getpid(),
            "started": _now(),
            "updated": None,
            "ended": None,
            "epoch": None,
            "metric": None,
            "expected_end": None,
            "error": None,
        }
        if path.exists():  # a run gone on with stands where it stood
            before = json.loads(path.read_text())
            self._content |= {name: before[name] for name in ("epoch", "metric")}

    def update(self, **changes: Any) -> None:
        with self._write_lock:
            self._content.update(changes, updated=_now())
            if not self._silent:
                write_json(self._path, self._content)

    def __enter__(self) -> Self:
        self.update()
        self._thread = threading.Thread(target=self._beat, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()
        if error is None:
            self.update(state="finished", ended=_now())
            return
        with suppress(OSError):  # the error itself is to be seen
            if isinstance(error, Pruned):
                self.update(state="pruned", ended=_now(), error=str(error))
            elif isinstance(error, Exception):
                self.update(state="failed", ended=_now(), error=self._explain(error))
            else:
                self.update(state="preempted" if isinstance(error, Preempted) else "interrupted", ended=_now())

    def _beat(self) -> None:
        while not self._stop.wait(HEARTBEAT_SECONDS):
            with suppress(OSError):  # a full disk now may have room at the next beat
                self.update()


def write_submitted(path: Path) -> None:
    """Say that a job of a cluster will train the run; one that is gone on with keeps its epoch and its metric."""
    status = RunStatus(path, explain=str)
    status.update(state="submitted", host=None, process=None, started=None)


def is_finished(path: Path) -> bool:
    """Whether the status at `path` says that its run has ended well."""
    return path.exists() and json.loads(path.read_text())["state"] == "finished"


class StatusCallback(Callback):
    """Tells the status the last finished epoch, its validation loss, and when training will end at this pace."""

    def __init__(self, status: RunStatus, *, monitor: str) -> None:
        super().__init__()
        self._status = status
        self._monitor = monitor
        self._since = datetime.now(UTC)
        self._first = 0.0

    def on_train_start(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        self._since, self._first = datetime.now(UTC), _trained(trainer, trainer.current_epoch)

    def on_train_epoch_end(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        value = trainer.callback_metrics.get(self._monitor)
        metric = None if value is None else {"name": self._monitor, "value": float(value)}
        now, epoch = datetime.now(UTC), trainer.current_epoch + 1
        trained, expected = _trained(trainer, epoch), {}
        if trained > self._first:  # not so where neither epochs nor steps end it
            end = now + (now - self._since) / (trained - self._first) * max(0.0, 1 - trained)
            expected = {"expected_end": end.isoformat(timespec="seconds")}
        self._status.update(epoch=epoch, metric=metric, **expected)


def _trained(trainer: lightning.Trainer, epochs: int) -> float:
    """The part of the training that is done, by epochs or by steps, whichever will end it."""
    limits = ((epochs, trainer.max_epochs or -1), (trainer.global_step, trainer.max_steps))
    return max((done / limit for done, limit in limits if limit > 0), default=0.0)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
