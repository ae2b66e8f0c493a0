"""Ctrl-C: once, a training saves its state and ends with its page; twice, it ends at once."""

import signal
from types import FrameType, TracebackType
from typing import Any, Self

import lightning
from lightning.pytorch.callbacks import Callback
from rich.console import Console

from cdmtrain.errors import Preempted
from cdmtrain.runs.directory import RunDirectory
from cdmtrain.runs.process import is_first_process, slurm_job


class Interruption(Callback):
    """From entry to exit: whatever stops the run from outside, but a preemption, ends in KeyboardInterrupt.

    While epochs are trained, the first Ctrl-C is answered after the step that is being made, and that of a validation
    after the next: last.ckpt is saved then. Before and after that, and for the second Ctrl-C and SIGTERM, at once. Of
    the processes of a run on several devices the first one's Ctrl-C counts, and all leave after the same step.
    """

    def __init__(self, run: RunDirectory) -> None:
        super().__init__()
        self.at_once = False  # the second Ctrl-C has come: nobody waits for a page
        self._run = run
        self._asked = False
        self._checkpoint: Any = None  # the RunCheckpoint, while epochs are trained
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # as of a shell's background job
            self._before[signal.SIGINT] = signal.signal(signal.SIGINT, self._on_ctrl_c)
        if not slurm_job():  # where it is another's to answer
            self._before[signal.SIGTERM] = signal.signal(signal.SIGTERM, signal.default_int_handler)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if isinstance(error, KeyboardInterrupt | SystemExit) and not isinstance(error, Preempted):
            if is_first_process():
                Console().print(f"interrupted; to go on: cdmtrain run={self._run.path}", soft_wrap=True)
            raise KeyboardInterrupt from None  # Lightning makes an exit of it

    def on_train_start(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        self._checkpoint = trainer.checkpoint_callback
        if not slurm_job():
            self._checkpoint.then = self._leave

    def on_train_epoch_end(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        one_step = int(trainer.num_training_batches) <= trainer.accumulate_grad_batches
        if self._asked and one_step:  # between two such epochs nothing is saved
            self._leave()

    def on_fit_end(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        self._checkpoint = None  # its last save, at the end of training, is made
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
        Console().print("interrupted: saving after this step; Ctrl-C again ends it at once", soft_wrap=True)

    def _leave(self) -> None:
        raise KeyboardInterrupt
