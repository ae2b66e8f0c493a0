"""Ctrl-C: the first one lets a training save itself and write its page, the second one ends it at once."""

import signal
from types import FrameType, TracebackType
from typing import Any, Self

import lightning
from lightning.pytorch.callbacks import Callback

from cdmtrain.errors import Preempted
from cdmtrain.runs.directory import RunDirectory
from cdmtrain.runs.process import is_first_process, slurm_job
from cdmtrain.terminal import say


class Interruption(Callback):
    """Between entry and exit, turns everything that stops the run from outside into KeyboardInterrupt.

    During training the first Ctrl-C takes effect after the current step, or after the next step if it comes during a
    validation, and last.ckpt is saved then. At other times it takes effect at once, as a second Ctrl-C or SIGTERM does.
    With several processes the Ctrl-C of the first one counts, and all of them leave after the same step. A preemption
    by SLURM is not touched.
    """

    def __init__(self, run: RunDirectory) -> None:
        super().__init__()
        self.at_once = False  # after a second Ctrl-C no page is written
        self._run = run
        self._asked = False
        self._checkpoint: Any = None  # the RunCheckpoint during training
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # a background job of a shell ignores it
            self._before[signal.SIGINT] = signal.signal(signal.SIGINT, self._on_ctrl_c)
        if not slurm_job():  # where Preemption answers it
            self._before[signal.SIGTERM] = signal.signal(signal.SIGTERM, signal.default_int_handler)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if isinstance(error, KeyboardInterrupt | SystemExit) and not isinstance(error, Preempted):
            if is_first_process():
                say(f"interrupted; to resume: cdmtrain run={self._run.path}")
            raise KeyboardInterrupt from None  # Lightning turns it into SystemExit

    def on_train_start(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        self._checkpoint = trainer.checkpoint_callback
        if not slurm_job():
            self._checkpoint.then = self._leave

    def on_train_epoch_end(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        one_step = int(trainer.num_training_batches) <= trainer.accumulate_grad_batches
        if self._asked and one_step:  # epochs of one step save nothing in between
            self._leave()

    def on_fit_end(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        self._checkpoint = None  # the last checkpoint is saved
        if self._asked:
            self._leave()

    def _on_ctrl_c(self, number: int, _: FrameType | None) -> None:
        if not is_first_process():
            return
        self.at_once = self._asked
        if self._asked or self._checkpoint is None:
            self._leave()
        self._asked = self._checkpoint.asked = True
        self._checkpoint.then = self._leave
        say("interrupted: saving after this step; Ctrl-C again ends it at once")

    def _leave(self) -> None:
        raise KeyboardInterrupt
