"""What the JSON files of a run directory hold: one dataclass a file, one attribute a key."""

import re
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any, Literal

from cdmtrain.errors import InputError
from cdmtrain.particles import Classes, Pair, read_classes, read_pairs
from cdmtrain.runs import files

HEARTBEAT_SECONDS = 30  # between two writes of status.json while a run is trained
LOST_AFTER_SECONDS = 4 * HEARTBEAT_SECONDS  # without one of them
COPIED_AFTER_SECONDS = 1800  # two clocks differ by less; a heartbeat that says it is older was copied

FINGERPRINT = re.compile("[0-9a-f]{32}")  # it is the name of a directory in the cache

State = Literal["submitted", "running", "finished", "diverged", "failed", "pruned", "preempted", "interrupted"]
Results = dict[str, Any]  # checked: {name: number | None}, {name: {class: number | None}}, confusion matrices of counts


@dataclass(frozen=True)
class Metric:
    """The monitored metric of the last epoch."""

    name: str
    value: float


@dataclass(frozen=True)
class Status:
    """What a run is doing (status.json). Times are in UTC."""

    state: State
    host: str | None = None
    process: int | None = None
    process_identity: str | None = None  # see cdmtrain.liveness
    started: datetime | None = None
    updated: datetime | None = None
    ended: datetime | None = None
    epoch: int | None = None  # the last finished one, counted from 1
    metric: Metric | None = None
    expected_end: datetime | None = None
    error: str | None = None


@dataclass(frozen=True)
class Submission:
    """The SLURM job that a run was submitted as (submission.json)."""

    job: str
    log: str


@dataclass(frozen=True)
class GitState:
    """The checkout that the program ran from; None where it was installed."""

    commit: str | None = None
    dirty: bool | None = None


@dataclass(frozen=True)
class Source:
    """One file, or one simulated sample, that the events came from."""

    num_hits: int
    num_events: int
    fingerprint: str
    file: str | None = None


@dataclass(frozen=True)
class DataRecord:
    """The events of a run, and how many of them are in each part."""

    events: int
    train: int
    val: int
    test: int
    sources: list[Source] = field(default_factory=list)
    quantiles: dict[str, list[float]] = field(default_factory=dict)  # of the training events, see data/quantiles.py

    @property
    def summary(self) -> str:
        """Such as "100 events (50, 20, 30) of 854 lit pixels": in all, and in the three parts."""
        num_hits = sum(source.num_hits for source in self.sources)
        return f"{self.events} events ({self.train}, {self.val}, {self.test}) of {num_hits} lit pixels"


@dataclass(frozen=True)
class Weights:
    """The weights that a run began with (`weights=`), and the names of their tensors."""

    file: str
    sha256: str
    loaded: list[str] = field(default_factory=list)
    new: list[str] = field(default_factory=list)  # of the network; they had random values
    unused: list[str] = field(default_factory=list)  # of the file


@dataclass(frozen=True)
class Extension:
    """One time that a run was made longer: `run=R trainer.max_epochs=40`."""

    command: str | None = None
    cdmtrain: str | None = None  # version
    started: datetime | None = None
    epochs: int | None = None  # that had begun before
    changed: dict[str, list[Any]] = field(default_factory=dict)  # dotted key -> [before, now]


@dataclass(frozen=True)
class Provenance:
    """What made a run (provenance.json)."""

    cdmtrain: str | None = None
    versions: dict[str, str] = field(default_factory=dict)
    git: GitState = field(default_factory=GitState)
    host: str | None = None
    command: str | None = None
    overrides: list[str] = field(default_factory=list)
    config_dirs: list[str] = field(default_factory=list)  # of the user, absolute
    choices: dict[str, str | None] = field(default_factory=dict)  # config group -> option
    changed: dict[str, list[Any]] | None = None  # group or dotted key -> [default, value]
    started: datetime | None = None
    accelerator: str | None = None
    data: DataRecord | None = None
    weights: Weights | None = None
    trained_longer: list[Extension] = field(default_factory=list)

    @property
    def fingerprints(self) -> list[str]:
        """Of the stores that the run was begun with, one for each source; none before its data are known."""
        found = [source.fingerprint for source in self.data.sources] if self.data else []
        if wrong := [one for one in found if not FINGERPRINT.fullmatch(one)]:
            raise InputError(
                f"fingerprint {wrong[0]!r}: 32 hexadecimal digits are expected; restore {files.PROVENANCE}"
            )
        return found


@dataclass(frozen=True)
class SplitSettings:
    folds: int | None = None
    fold: int | None = None


@dataclass(frozen=True)
class DataSettings:
    image_size: int | None = None
    particles: list[Any] | None = None
    split: SplitSettings = field(default_factory=SplitSettings)


@dataclass(frozen=True)
class TrainerSettings:
    max_epochs: int | None = None


@dataclass(frozen=True)
class MetricsSettings:
    pairs: list[list[Any]] | None = None


@dataclass(frozen=True)
class ModelSettings:
    _target_: str | None = None


@dataclass(frozen=True)
class Settings:
    """The part of config.yaml that the report quotes by name."""

    seed: int | None = None
    model: ModelSettings = field(default_factory=ModelSettings)
    data: DataSettings = field(default_factory=DataSettings)
    trainer: TrainerSettings = field(default_factory=TrainerSettings)
    metrics: MetricsSettings = field(default_factory=MetricsSettings)
    objective: ModelSettings | None = None  # of a pretraining

    @cached_property
    def classes(self) -> Classes:
        """What the network tells apart."""
        return read_classes(self.data.particles)

    @cached_property
    def pairs(self) -> tuple[Pair, ...]:
        """The classes whose ROC area is a metric."""
        return read_pairs(self.metrics.pairs, self.classes)
