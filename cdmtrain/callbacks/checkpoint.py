"""Save a run's checkpoints atomically, with all that a bit-identical resume needs."""

import logging
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Checkpoint

from cdmtrain.atomic import replace
from cdmtrain.callbacks.random_states import random_states, set_random_states
from cdmtrain.errors import InputError
from cdmtrain.runs import files

log = logging.getLogger(__name__)

SECONDS_PER_VOTE = 2.0  # about this often, several processes agree whether to save


class RunCheckpoint(Checkpoint):
    """Save `last.ckpt` during training, and `best.ckpt` (weights only) when the monitored metric improves.

    `last.ckpt` is saved after the first step of each epoch, then every `every_seconds`, and when training ends. It is
    not saved after the last step of an epoch: Lightning resumes exactly between two steps only, and a scheduler that
    waits for the validation would miss it. (So a run with epochs of one step has no `last.ckpt` before its end.)
    During training the one before it is kept as `previous.ckpt`, in case that the last one is damaged. Where
    trainer.max_steps ends the training within an epoch it stays: a longer training goes on from it.

    Args:
        monitor: name of a logged metric.
        mode: "min" or "max", whichever is better.
        every_seconds: seconds between saves within an epoch.
        keep_all: also keep the weights of every validated epoch, as `epoch_<number>_step_<number>.ckpt`.

    A training whose metric becomes NaN or infinite has diverged and stops.

    Raises:
        InputError: when the metric is never logged, no epoch is validated, or `mode` is neither "min" nor "max".
    """

    def __init__(self, *, monitor: str, mode: str, every_seconds: float, keep_all: bool = False) -> None:
        super().__init__()
        if mode not in ("min", "max"):
            raise InputError(f"callbacks.checkpoint.mode={mode}: min or max is expected")
        if not isinstance(every_seconds, int | float) or not every_seconds >= 0:
            raise InputError(f"callbacks.checkpoint.every_seconds={every_seconds}: a number from 0 on is expected")
        self.monitor = monitor
        self.best_score: float | None = None
        self.best_epoch: int | None = None
        self.diverged = False  # the monitored metric became NaN or infinite
        self.finished = False  # training is over, though the evaluation may be missing
        self.stopped = False  # it is over before its last epoch, because a callback stopped it
        self.made_longer = False  # set it for a run whose limits were raised; 0.1 did not save `stopped`
        self._sign = 1 if mode == "min" else -1
        self._every_seconds = every_seconds
        self._keep_all = keep_all
        self._saved = time.monotonic()
        self._random_states: dict[str, Any] | None = None
        self.has_begun = False  # a step was made with the restored states
        self._first_step = 0  # of this process
        self.asked = False  # set it to save at the end of this step and call `then`
        self.then: Callable[[], None] = lambda: None
        self._vote = Vote()

    def state_dict(self) -> dict[str, Any]:
        names = ("best_score", "best_epoch", "finished", "stopped", "diverged")
        return {name: getattr(self, name) for name in names}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best_score, self.best_epoch = state_dict["best_score"], state_dict["best_epoch"]
        self.finished, self.diverged = state_dict["finished"], state_dict.get("diverged", False)  # 0.1 has no second
        self.stopped = state_dict.get("stopped", self.finished and not self.made_longer)

    def begin_after(self, trainer: lightning.Trainer, epoch: int, history: Mapping[str, Any]) -> None:
        """Let a training that has nothing but the weights of `best.ckpt` begin after the epoch they are from.

        Args:
            trainer: of the training.
            epoch: counted from 1.
            history: metric -> its value in every epoch, as metrics.csv has it.
        """
        done: Any = trainer.fit_loop.epoch_progress.current
        done.ready = done.started = done.processed = done.completed = epoch
        scores = dict(zip(history.get("epoch", ()), history.get(self.monitor, ()), strict=False))
        self.best_epoch, self.best_score = epoch, float(scores[epoch]) if epoch in scores else None
        log.warning("%s goes on from the weights of epoch %d, with a new optimizer", trainer.default_root_dir, epoch)

    def on_save_checkpoint(self, trainer: lightning.Trainer, module: Any, checkpoint: dict[str, Any]) -> None:
        checkpoint["random_states"] = random_states()

    def on_load_checkpoint(self, trainer: lightning.Trainer, module: Any, checkpoint: dict[str, Any]) -> None:
        self._random_states = checkpoint.get("random_states")
        begin_next_epoch(checkpoint["loops"]["fit_loop"])

    def on_train_start(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        every, epochs = trainer.check_val_every_n_epoch or 1, trainer.max_epochs or -1
        if trainer.limit_val_batches == 0 or 0 < epochs < every:
            raise InputError(
                f"no epoch would be validated (trainer.max_epochs={epochs}, trainer.check_val_every_n_epoch={every}, "
                f"trainer.limit_val_batches={trainer.limit_val_batches}), but validation chooses the best checkpoint"
            )
        self._saved = time.monotonic()
        if not (Path(trainer.default_root_dir) / files.BEST_CHECKPOINT).exists():
            self.best_score = self.best_epoch = None  # it was damaged
        trainer.should_stop |= self.stopped
        self.finished = self.stopped
        if self._random_states is not None:
            set_random_states(self._random_states)
        self._first_step = trainer.global_step
        for optimizer in trainer.optimizers:
            check_fused_states(optimizer)

    def on_train_batch_end(
        self, trainer: lightning.Trainer, module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.has_begun = trainer.global_step > self._first_step
        accumulated = trainer.accumulate_grad_batches
        # is_last_batch is wrong in a resumed epoch of limited length
        last = trainer.is_last_batch or batch_idx + 1 == trainer.num_training_batches
        if last or (batch_idx + 1) % accumulated:  # a checkpoint does not hold accumulated gradients
            return
        due = time.monotonic() - self._saved > self._every_seconds
        asked, due = self._vote.of_first_process(trainer, (self.asked, due))
        if asked or due or batch_idx < accumulated or self._ends_within_epoch(trainer):
            self._save(trainer, "last")
        if asked:
            self.then()

    def on_validation_end(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        if trainer.state.fn != "fit" or trainer.sanity_checking:
            return
        if self.monitor not in trainer.callback_metrics:
            known = ", ".join(sorted(trainer.callback_metrics))
            raise InputError(f"callbacks.checkpoint.monitor={self.monitor} is not logged; choose one of {known}")
        score = float(trainer.callback_metrics[self.monitor])
        if self.best_score is None or math.isnan(self.best_score) or self._sign * score < self._sign * self.best_score:
            self.best_score, self.best_epoch = score, trainer.current_epoch + 1
            self._save(trainer, "best", weights_only=True)
        if not math.isfinite(score):
            self.diverged = trainer.should_stop = True
        if self._keep_all:
            name = f"epoch_{trainer.current_epoch + 1:02}_step_{trainer.global_step}"
            self._save(trainer, name, weights_only=True)

    def on_train_end(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        self.finished, self.stopped = True, trainer.should_stop
        self._save(trainer, "last")
        if trainer.is_global_zero and not self._ends_within_epoch(trainer):
            _previous(trainer).unlink(missing_ok=True)

    def _ends_within_epoch(self, trainer: lightning.Trainer) -> bool:
        """Whether max_steps ends the training before the last batch of an epoch; a longer one goes on from there."""
        return trainer.global_step == trainer.max_steps and not trainer.is_last_batch

    def _save(self, trainer: lightning.Trainer, name: str, *, weights_only: bool = False) -> None:
        directory = Path(trainer.default_root_dir) / files.CHECKPOINTS
        temporary, path = directory / f".{name}.ckpt.tmp", directory / f"{name}.ckpt"
        try:
            trainer.save_checkpoint(temporary, weights_only=weights_only)
            if trainer.is_global_zero:
                if name == "last" and path.exists():
                    path.replace(_previous(trainer))
                replace(temporary, path)
        except BaseException as error:  # on a full disk the error message needs the space
            temporary.unlink(missing_ok=True)
            if isinstance(error, OSError):
                error.filename = error.filename or str(path)
            raise
        self._saved = time.monotonic()


def _previous(trainer: lightning.Trainer) -> Path:
    return Path(trainer.default_root_dir) / files.PREVIOUS_CHECKPOINT


def begin_next_epoch(loop: dict[str, Any]) -> None:
    """Let a saved loop that has ended an epoch begin the next one.

    With trainer.max_steps Lightning takes every checkpoint for one within an epoch, and would train an empty one.
    """
    epochs = loop["epoch_progress"]["current"]
    if epochs["ready"] == epochs["completed"]:
        progress = loop["epoch_loop.batch_progress"]
        progress["current"] = dict.fromkeys(progress["current"], 0)
        progress["is_last_batch"] = False


class Vote:
    """Let every process save after the same step as the first process, without communicating after every step."""

    def __init__(self) -> None:
        self._step = 0
        self._time = time.monotonic()
        self._steps_until = 0

    def of_first_process(self, trainer: lightning.Trainer, wanted: tuple[bool, bool]) -> tuple[bool, bool]:
        """Return the wishes of the first process; between two votes no process has any."""
        if trainer.world_size == 1:
            return wanted
        steps, seconds = trainer.global_step - self._step, time.monotonic() - self._time
        if 0 <= steps < self._steps_until:
            return False, False
        until = min(int(steps * SECONDS_PER_VOTE / max(seconds, 1e-3)), 2 * self._steps_until) or 1
        wanted, self._steps_until = trainer.strategy.broadcast((wanted, until))
        self._step, self._time = trainer.global_step, time.monotonic()
        return wanted


def check_fused_states(optimizer: torch.optim.Optimizer) -> None:
    """Refuse restored states of another shape: torch's fused steps read and write beyond the end of a smaller one.

    Raises:
        ValueError: with the name of the state.
    """
    if not any(group.get("fused") for group in optimizer.param_groups):
        return
    for parameter, states in optimizer.state.items():
        for name, state in states.items():
            expected = torch.Size() if name == "step" else parameter.shape
            if isinstance(state, torch.Tensor) and state.shape != expected:
                raise ValueError(f"{name} of the optimizer is {list(state.shape)}, and {list(expected)} is expected")
