"""Ctrl-C: the first one lets a training save itself and write its page, the second one ends it at once."""

import signal
import threading
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Self

import lightning
from lightning.pytorch.callbacks import Callback

from cdmtrain.errors import Preempted
from cdmtrain.runs.process import is_first_process
from cdmtrain.terminal import say


class Interruption(Callback):
    """Between entry and exit, turns everything that stops the run from outside into KeyboardInterrupt.

    During training the first Ctrl-C takes effect after the current step, or after the next step if it comes during a
    validation, and last.ckpt is saved then. At other times it takes effect at once, as a second Ctrl-C or SIGTERM does.
    With several processes the Ctrl-C of the first one counts, and all of them leave after the same step. In another
    thread than the main one, which no signal reaches, nothing is done.

    Args:
        run: its directory.
        model: the network, where it was given as an object and is needed to resume the run.
        answers_sigterm: false where something else does, such as Preemption in a SLURM job.
    """

    def __init__(self, run: Path, *, model: object, answers_sigterm: bool) -> None:
        super().__init__()
        self.at_once = False  # after a second Ctrl-C no page is written
        self.by_sigterm = False
        in_python = f'cdmtrain.train("run={run}", model=...)'
        self._to_resume = f"cdmtrain run={run}" if model is None else in_python
        self._answers_sigterm = answers_sigterm
        self._asked = False
        self._checkpoint: Any = None  # the RunCheckpoint during training
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is not threading.main_thread():
            return self
        if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # a background job of a shell ignores it
            self._before[signal.SIGINT] = signal.signal(signal.SIGINT, self._on_ctrl_c)
        if self._answers_sigterm:
            self._before[signal.SIGTERM] = signal.signal(signal.SIGTERM, self._on_sigterm)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if isinstance(error, KeyboardInterrupt | SystemExit) and not isinstance(error, Preempted):
            if is_first_process():
                say(f"interrupted; to resume: {self._to_resume}")
            raise KeyboardInterrupt from None  # Lightning turns it into SystemExit

    def on_train_start(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        self._checkpoint = trainer.checkpoint_callback
        if self._answers_sigterm:
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

    def _on_sigterm(self, number: int, _: FrameType | None) -> None:
        self.by_sigterm = True
        self._leave()

    def _leave(self) -> None:
        raise KeyboardInterrupt
