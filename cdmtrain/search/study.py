"""A study of optuna in a directory: trials are asked for, reported and told; several processes may work on it.

What a killed process was training is known by its lock, which the system has released: the next process that asks goes
on with that trial, from its checkpoint.
"""

import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import optuna
from filelock import FileLock, Timeout
from optuna.distributions import BaseDistribution
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from cdmtrain.errors import InputError

optuna.logging.set_verbosity(optuna.logging.ERROR)

NAME = "study"  # in its storage; a directory holds one study


@dataclass(frozen=True)
class Trial:
    """One trial that this process has to train."""

    number: int
    parameters: dict[str, Any]
    directory: Path
    resumed: bool  # begun by a process that was killed
    optuna: optuna.trial.Trial
    lock: FileLock

    def is_bad(self, value: float, epoch: int) -> bool:
        """Report the monitored figure of an epoch; whether the trial is to be pruned."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an epoch trained again is reported again
            self.optuna.report(value, epoch)
        return bool(self.optuna.should_prune())


class Study:
    """The trials in `directory`.

    Args:
        direction: "minimize" or "maximize".
        sampler: makes a sampler of a seed.
        seed: of all draws; with the number of a trial it fixes what is drawn, given the trials before.

    Raises:
        InputError: when the directory holds a study of another direction.
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
        self._sampler = sampler
        self._seed = seed
        self._lock = FileLock(directory / ".lock")
        with self._lock, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what optuna calls experimental
            self._storage = JournalStorage(JournalFileBackend(str(directory / "journal.log")))
            self._study = optuna.create_study(
                storage=self._storage, study_name=NAME, direction=direction, pruner=pruner, load_if_exists=True
            )
        if self._study.direction.name.lower() != direction:
            raise InputError(f"study={directory} is one to {self._study.direction.name.lower()}, not to {direction}")

    @property
    def trials(self) -> list[FrozenTrial]:
        return self._study.get_trials(deepcopy=False)

    @property
    def best(self) -> FrozenTrial | None:
        complete = [trial for trial in self.trials if trial.state == TrialState.COMPLETE]
        sign = 1 if self._study.direction == optuna.study.StudyDirection.MINIMIZE else -1
        return min(complete, key=lambda trial: sign * (trial.value or 0), default=None)

    def place(self, number: int) -> Path:
        return self.directory / f"trial_{number:04d}"

    def ask(self, space: Mapping[str, BaseDistribution], *, at_most: int) -> Trial | None:
        """A trial whose process was killed, else a new one; None where the study has as many as it should."""
        with self._lock:
            for trial in self.trials:
                if trial.state == TrialState.RUNNING and (lock := self._claimed(trial.number)):
                    again = self._running_trial(trial.number)
                    return Trial(trial.number, trial.params, self.place(trial.number), True, again, lock)
            number = len(self.trials)
            if number >= at_most:
                return None
            seed = int(np.random.SeedSequence((self._seed, number)).generate_state(1)[0])
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self._study.sampler = self._sampler(seed=seed)
                asked = self._study.ask(dict(space))
            lock = self._claimed(asked.number)
            assert lock is not None
            return Trial(asked.number, asked.params, self.place(asked.number), False, asked, lock)

    def _running_trial(self, number: int) -> optuna.trial.Trial:
        """A handle on a trial that another process began."""
        study_id = self._storage.get_study_id_from_name(NAME)
        trial_id = self._storage.get_trial_id_from_study_id_trial_number(study_id, number)
        return optuna.trial.Trial(self._study, trial_id)

    def _claimed(self, number: int) -> FileLock | None:
        """The lock of a trial, taken; None where another process has it."""
        place = self.place(number)
        place.mkdir(exist_ok=True)
        lock = FileLock(place / ".worker")
        with suppress(Timeout):
            lock.acquire(blocking=False)
            return lock
        return None

    def tell(self, trial: Trial, state: TrialState) -> None:
        """Record how a trial ended; its value is the best of what its epochs reported."""
        with self._lock, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            reported = [v for v in self.trials[trial.number].intermediate_values.values() if np.isfinite(v)]
            minimize = self._study.direction == optuna.study.StudyDirection.MINIMIZE
            value = (min if minimize else max)(reported, default=None)
            if state == TrialState.COMPLETE and value is None:
                state = TrialState.FAIL
            self._study.tell(trial.optuna, value if state == TrialState.COMPLETE else None, state=state)
        trial.lock.release()

    def importances(self) -> dict[str, float]:
        """How much each parameter mattered, by PED-ANOVA (Watanabe 2023, arXiv:2304.10255); empty for few trials."""
        complete = [trial for trial in self.trials if trial.state == TrialState.COMPLETE]
        if len(complete) < 4:
            return {}
        with warnings.catch_warnings(), suppress(ValueError, RuntimeError):
            warnings.simplefilter("ignore")
            return get_param_importances(self._study, evaluator=PedAnovaImportanceEvaluator())
        return {}
