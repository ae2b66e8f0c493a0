"""A study of optuna in a directory, which several processes may work on at once.

Each trial is locked by the process that trains it. When a process is killed, the system releases its lock, and the next
process that asks for a trial resumes that one from its checkpoint.
"""

import logging
import os
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import lightning
import numpy as np
import optuna
from lightning.pytorch.callbacks import Callback
from optuna.distributions import BaseDistribution, check_distribution_compatibility
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from cdmtrain.atomic import set_aside
from cdmtrain.errors import InputError, Pruned
from cdmtrain.lock import Lock
from cdmtrain.runs import files
from cdmtrain.runs.inside import file_inside, refuse_links
from cdmtrain.search.journal import check_trials, drop_cut_lines, reading
from cdmtrain.search.space import unknown_parameter

log = logging.getLogger(__name__)
optuna.logging.set_verbosity(optuna.logging.ERROR)

JOURNAL = "journal.log"
NAME = "study"  # in its storage; a directory holds one study


@dataclass(frozen=True)
class Trial:
    """A trial for this process to train."""

    number: int
    parameters: dict[str, Any]
    directory: Path
    resumed: bool  # it was begun by a process that was killed
    optuna: optuna.trial.Trial
    lock: Lock

    def is_bad(self, value: float, epoch: int) -> bool:
        """Report the monitored metric of an epoch; return whether the trial should be pruned."""
        with warnings.catch_warnings(action="ignore"):  # a resumed trial reports an epoch a second time
            self.optuna.report(value, epoch)
        return bool(self.optuna.should_prune())


class Study:
    """The study in `directory`, new or existing.

    Args:
        direction: "minimize" or "maximize".
        sampler: called with `seed=`; returns a sampler.
        pruner: decides which trials are stopped.
        seed: with the number of a trial and the results of the trials before, it fixes the parameters of the trial.

    Raises:
        InputError: if the directory holds a study of the other direction, a link out of it, or no readable study.
    """

    def __init__(
        self,
        directory: Path,
        *,
        direction: Literal["minimize", "maximize"],
        sampler: Callable[..., optuna.samplers.BaseSampler],
        pruner: optuna.pruners.BasePruner,
        seed: int,
    ) -> None:
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        if not os.access(directory, os.W_OK):
            raise InputError(f"study={directory} is a directory in which you may not write; go on with a copy of it")
        refuse_links(directory)
        file_inside(directory, JOURNAL, most_bytes=None)
        self._best_of: Any = min if direction == "minimize" else max
        self._sampler = sampler
        self._seed = seed
        self._lock = Lock(directory / ".lock")
        journal = (directory / JOURNAL).absolute()  # optuna makes a link to this path, which must not lead elsewhere
        with self._lock.held(), reading(journal):
            drop_cut_lines(journal)
            self._storage = JournalStorage(JournalFileBackend(str(journal)))
            self._study = optuna.create_study(
                storage=self._storage, study_name=NAME, direction=direction, pruner=pruner, load_if_exists=True
            )
            check_trials(self.trials)
        if (found := self._study.direction.name.lower()) != direction:
            raise InputError(f"study={directory} is a study to {found}, not to {direction}")

    @property
    def trials(self) -> list[FrozenTrial]:
        return self._study.get_trials(deepcopy=False)

    @property
    def best(self) -> FrozenTrial | None:
        complete = [trial for trial in self.trials if trial.state == TrialState.COMPLETE]
        return self._best_of(complete, key=lambda trial: trial.value or 0, default=None)

    def trial_dir(self, number: int) -> Path:
        return self.directory / f"trial_{number:04d}"

    def ask(self, space: Mapping[str, BaseDistribution], *, at_most: int) -> Trial | None:
        """Return a trial whose process was killed, else a new one; None if the study has `at_most` trials."""
        with self._lock.held():
            for trial in self.trials:
                if trial.state == TrialState.RUNNING and (lock := self._try_lock(trial.number)):
                    unknown = unknown_parameter(trial.params, space)
                    if unknown is None:
                        again = optuna.trial.Trial(self._study, self._trial_id(trial.number))
                        return Trial(trial.number, trial.params, self.trial_dir(trial.number), True, again, lock)
                    log.warning("trial %d is not resumed: %s is not in search.space", trial.number, unknown)
                    lock.release()
            number = len(self.trials)
            if number >= at_most:
                return None
            seed = int(np.random.SeedSequence((self._seed, number)).generate_state(1)[0])
            self._study.sampler = self._sampler(seed=seed)
            asked = self._ask_optuna(space)
            if (self.trial_dir(asked.number) / files.CONFIG).exists():
                set_aside(self.trial_dir(asked.number))  # of a study whose journal was lost
            lock = self._try_lock(asked.number)
            assert lock is not None
            return Trial(asked.number, asked.params, self.trial_dir(asked.number), False, asked, lock)

    def _ask_optuna(self, space: Mapping[str, BaseDistribution]) -> optuna.trial.Trial:
        """Ask for a trial; optuna refuses a key that had other words, or words and not numbers, in earlier trials."""
        for trial in self.trials:
            for key in trial.distributions.keys() & space.keys():
                try:
                    check_distribution_compatibility(trial.distributions[key], space[key])
                except ValueError as error:
                    raise InputError(
                        f"study={self.directory}: trial {trial.number} tried {trial.distributions[key]} for {key}, and "
                        f"search.space has {space[key]} ({str(error).rstrip('.')}); choose another study="
                    ) from None
        with warnings.catch_warnings(action="ignore"):
            return self._study.ask(dict(space))

    def _trial_id(self, number: int) -> int:
        study_id = self._storage.get_study_id_from_name(NAME)
        return self._storage.get_trial_id_from_study_id_trial_number(study_id, number)

    def _try_lock(self, number: int) -> Lock | None:
        """Lock a trial; None if another process has locked it."""
        directory = self.trial_dir(number)
        directory.mkdir(exist_ok=True)
        lock = Lock(directory / ".worker")
        return lock if lock.try_acquire() else None

    def tell(self, trial: Trial, state: TrialState) -> None:
        """Record how a trial ended; its value is the best one that its epochs reported."""
        with self._lock.held(), warnings.catch_warnings(action="ignore"):
            reported = [v for v in self.trials[trial.number].intermediate_values.values() if np.isfinite(v)]
            value = self._best_of(reported, default=None)
            if state == TrialState.COMPLETE and value is None:
                state = TrialState.FAIL
            self._study.tell(trial.optuna, value if state == TrialState.COMPLETE else None, state=state)
        trial.lock.release()

    def importances(self) -> dict[str, float]:
        """Rate the importance of each parameter, by PED-ANOVA (Watanabe 2023, arXiv:2304.10255); {} for few trials."""
        complete = [trial for trial in self.trials if trial.state == TrialState.COMPLETE]
        if len(complete) < 4:
            return {}
        with warnings.catch_warnings(action="ignore"), suppress(ValueError, RuntimeError):
            return get_param_importances(self._study, evaluator=PedAnovaImportanceEvaluator())
        return {}


class Pruning(Callback):
    """Reports the monitored metric after every validation, and stops the training if the trial should be pruned.

    Args:
        is_bad: called with the metric and the epoch, counted from 1; returns whether to stop.
        monitor: name of a logged metric.

    Raises:
        Pruned: to stop the training.
    """

    def __init__(self, is_bad: Callable[[float, int], bool], *, monitor: str) -> None:
        super().__init__()
        self._is_bad = is_bad
        self._monitor = monitor

    def on_validation_end(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        if trainer.state.fn != "fit" or trainer.sanity_checking:
            return
        value, epoch = float(trainer.callback_metrics[self._monitor]), trainer.current_epoch + 1
        if self._is_bad(value, epoch) and np.isfinite(value):  # a training that diverged ends by itself
            raise Pruned(f"pruned after epoch {epoch}: {self._monitor} {value:.4f} is worse than other trials")
