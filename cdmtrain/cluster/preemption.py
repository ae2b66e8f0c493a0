"""What a training does when its cluster takes the machine away: save, see that it is queued again, leave.

SLURM says so by SIGUSR2 (`--signal=USR2@120`: so many seconds before the time limit) or by SIGTERM (preempted, requeued
or cancelled). One owner answers: `Preemption`. Lightning's own requeueing is off (`cdmtrain.devices.trainer`), and the
handler of submitit, which counts time limits and queues again, is called by this one once the run is saved.
"""

import logging
import os
import re
import signal
import subprocess
from contextlib import suppress
from types import FrameType, TracebackType
from typing import Any, Self

import lightning
from lightning.pytorch.callbacks import Callback

from cdmtrain.errors import InputError, Preempted
from cdmtrain.runs.process import is_first_process, slurm_job

log = logging.getLogger(__name__)

SIGNALS = (signal.SIGUSR2, signal.SIGTERM)


class Preemption(Callback):
    """In a job of SLURM, from entry to exit: on a signal saves last.ckpt at the end of the step, raises `Preempted`.

    While validating, and before and after training, it leaves at once: what is on disk is whole, and a run goes on from
    there to the same result. Where the job will not come back (it was cancelled) it leaves as interrupted. Of the
    processes of a run on several devices the first one's signal counts, and all leave after the same step.
    """

    def __init__(self) -> None:
        super().__init__()
        self._job = slurm_job()
        self._before: dict[signal.Signals, Any] = {}
        self._checkpoint: Any = None  # the RunCheckpoint, while steps are made
        self._signalled = False

    def __enter__(self) -> Self:
        if self._job:
            self._before = {number: signal.signal(number, self._on_signal) for number in SIGNALS}
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        left = isinstance(error, Preempted)
        for number, handler in self._before.items():
            signal.signal(number, signal.SIG_IGN if left else handler)
        if left and is_first_process() and not self._comes_back():
            raise KeyboardInterrupt from None

    def on_train_start(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        if self._job:  # Lightning has taken SIGTERM
            for number in SIGNALS:
                signal.signal(number, self._on_signal)
            self._begin_steps(trainer)

    def on_validation_start(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        self._end_steps()

    def on_validation_end(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        if self._job and trainer.state.fn == "fit":
            self._begin_steps(trainer)

    def on_fit_end(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        self._end_steps()  # at the end of training, one hook before, the checkpoint is saved a last time

    def _begin_steps(self, trainer: lightning.Trainer) -> None:
        self._checkpoint = trainer.checkpoint_callback
        self._checkpoint.then = self._leave

    def _end_steps(self) -> None:
        self._checkpoint = None
        if self._signalled and is_first_process():
            self._leave()

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        if self._signalled or not is_first_process():
            return
        self._signalled = True
        log.info("%s: saving the run", signal.Signals(number).name)
        if self._checkpoint is None:
            self._leave()
        self._checkpoint.asked = True

    def _leave(self) -> None:
        raise Preempted

    def _comes_back(self) -> bool:
        """Whether the job will run again: SLURM has queued it already, or does so now for one it would let run on."""
        shown = _scontrol("show", "job", self._job)
        restarts = re.search(r"Restarts=(\d+)", shown)
        if restarts and int(restarts[1]) > int(os.environ.get("SLURM_RESTART_COUNT", 0)):
            return True
        if "JobState=RUNNING" not in shown:
            return False
        if callable(requeue := self._before[signal.SIGUSR2]):  # submitit's
            with suppress(SystemExit):
                requeue(signal.SIGUSR2, None)
            return True
        _scontrol("requeue", self._job)
        return True


def _scontrol(*words: str) -> str:
    try:
        return subprocess.run(["scontrol", *words], capture_output=True, text=True, check=True, timeout=60).stdout
    except subprocess.CalledProcessError as error:
        raise InputError(f"scontrol {' '.join(words)}: {error.stderr.strip()}") from None
