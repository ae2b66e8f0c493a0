"""What a training does when SLURM takes its machine away: it saves itself, has itself queued again, and leaves.

SLURM sends SIGUSR2 before the time limit (`--signal=USR2@120`: 120 s before) and SIGTERM when a job is preempted,
requeued or cancelled. `Preemption` alone answers these signals. Lightning's requeueing is turned off (in
`cdmtrain.devices.trainer`); the handler of submitit, which counts time limits and requeues, is called once the run is
saved.
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

from cdmtrain.errors import Preempted
from cdmtrain.runs.process import is_first_process, slurm_job

log = logging.getLogger(__name__)

REQUEUE = getattr(signal, "SIGUSR2", signal.SIGTERM)  # Windows has no SIGUSR2, and no SLURM
SIGNALS = (REQUEUE, signal.SIGTERM)


class Preemption(Callback):
    """In a SLURM job, between entry and exit: on a signal, saves last.ckpt after the current step, raises `Preempted`.

    During a validation, and before and after training, it raises at once: the files on disk are complete, and the
    resumed run has the same result. If the job was cancelled and will not run again, the run ends as interrupted.
    With several processes the signal of the first one counts, and all of them leave after the same step.
    """

    def __init__(self) -> None:
        super().__init__()
        self._job = slurm_job()
        self._before: dict[signal.Signals, Any] = {}
        self._checkpoint: Any = None  # the RunCheckpoint during training steps
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
        if self._job:  # Lightning has set its own handler of SIGTERM
            for number in SIGNALS:
                signal.signal(number, self._on_signal)
            self._begin_steps(trainer)

    def on_validation_start(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        self._end_steps()

    def on_validation_end(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        if self._job and trainer.state.fn == "fit":
            self._begin_steps(trainer)

    def on_fit_end(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        self._end_steps()  # the last checkpoint was saved in the hook before this one

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
        """Whether the job will run again: SLURM has requeued it already, or does so now unless it was cancelled.

        Where SLURM does not answer, nobody knows; the run is saved, and goes on whenever its command starts again.
        """
        shown = _scontrol("show", "job", self._job)
        restarts = re.search(r"Restarts=(\d+)", shown or "")
        if restarts and int(restarts[1]) > int(os.environ.get("SLURM_RESTART_COUNT", 0)):
            return True
        if shown is None or "JobState=RUNNING" not in shown:
            return False
        if callable(requeue := self._before[REQUEUE]):  # the handler of submitit
            with suppress(SystemExit):
                requeue(REQUEUE, None)
            return True
        return _scontrol("requeue", self._job) is not None


def _scontrol(*words: str) -> str | None:
    """What scontrol prints; None, with a warning, where it does not answer."""
    try:
        return subprocess.run(["scontrol", *words], capture_output=True, text=True, check=True, timeout=60).stdout
    except (OSError, subprocess.SubprocessError) as error:
        reason = getattr(error, "stderr", None) or str(error)
        log.warning("scontrol %s does not answer (%s); the run is saved", " ".join(words), reason.strip())
        return None
