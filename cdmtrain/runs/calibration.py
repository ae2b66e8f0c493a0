"""Write and read calibration.json: how to turn the probabilities of a run into true ones and into sets of classes."""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

from cdmtrain.atomic import write_json
from cdmtrain.calibration.likeness import Distance, Likeness
from cdmtrain.errors import InputError
from cdmtrain.runs import files
from cdmtrain.runs.check import check, wrong
from cdmtrain.runs.read import read_json
from cdmtrain.runs.results import check_results


class Opened(Protocol):
    """A run with its weights, as `cdmtrain.runs.open` returns it."""

    @property
    def path(self) -> Path: ...

    @property
    def checkpoint(self) -> Path: ...


@dataclass(frozen=True)
class Reliability:
    """Test events in bins of the highest probability."""

    confidence: list[float]  # mean in each bin
    right: list[int]  # events whose most probable class is the true one
    events: list[int]


@dataclass(frozen=True)
class Tested:
    """Test events, which the calibration was not fitted to, before and after."""

    before: dict[str, Any]  # metrics as in results.json
    after: dict[
        str, Any
    ]  # the same with coverage_90 ..., set_size_90 ..., class_coverage_90 ..., class_set_size_90 ...
    reliability_before: Reliability
    reliability_after: Reliability


@dataclass(frozen=True)
class Calibration:
    """q = softmax(scale * log p + bias), and the least q of each class with which it belongs to a set.

    It belongs to the mean probability of networks with certain weights, with or without symmetries.
    """

    networks: list[str]  # SHA-256 of each checkpoint
    symmetries: bool
    classes: list[str]
    scale: list[float]
    bias: list[float]
    sets: dict[str, list[float]]  # level in per cent -> least q of each class
    per_class: bool  # whether the level holds for the events of each class
    events: list[int]  # validation events of each class
    tested: Tested
    likeness: list[Likeness] = field(default_factory=list)  # of each network; empty where one shows no features
    distances: list[float] = field(default_factory=list)  # of validation events, mean over the networks, in order


@dataclass(frozen=True)
class Calibrations:
    """The content of calibration.json."""

    calibrations: list[Calibration] = field(default_factory=list)


def read_calibrations(run: Path) -> list[Calibration]:
    """Return the calibrations that a run has; none where there is no file.

    Raises:
        InputError: where the file is damaged.
    """
    content, where = read_json(run, files.CALIBRATION), str(run / files.CALIBRATION)
    if content is None:
        return []
    found = check(content, Calibrations, where).calibrations
    for one in found:
        numbers = {"scale": one.scale, "bias": one.bias, **{f"sets.{level}": own for level, own in one.sets.items()}}
        for name, values in numbers.items():
            if len(values) != len(one.classes) or not all(map(math.isfinite, values)):
                raise wrong(f"{where}: {name}", values, f"a finite number for each of {len(one.classes)} classes")
        for metrics in (one.tested.before, one.tested.after):
            check_results(metrics, where)
    return found


def write_calibration(run: Path, calibration: Calibration) -> None:
    """Write a calibration beside a run, in place of an earlier one of the same networks and symmetries."""
    others = [one for one in read_calibrations(run) if _belongs(one) != _belongs(calibration)]
    write_json(run / files.CALIBRATION, asdict(Calibrations([*others, calibration])))


def find_calibration(runs: Sequence[Opened], *, symmetries: bool) -> Calibration:
    """Return the calibration of runs that are used together, which one of their directories holds.

    Raises:
        InputError: where there is none for these weights, with the command that makes it.
    """
    networks = sorted(digests(runs))
    found = [one for run in runs for one in read_calibrations(run.path)]
    for one in found:
        if _belongs(one) == (networks, symmetries):
            return one
    paths = [str(run.path) for run in runs]
    name = paths[0] if len(paths) == 1 else f"[{','.join(paths)}]"
    has = " (it has one of other weights, runs or symmetries)" if found else ""
    command = f"cdmtrain task=calibrate run={name}{' symmetries=true' if symmetries else ''}"
    raise InputError(f"calibrated=true: {name} has no calibration{has}; make it with {command}")


def distances_from_training(calibration: Calibration | None, runs: Sequence[Opened]) -> list[Distance]:
    """Return the distance in the features of each run's network; empty without a calibration that has them."""
    if calibration is None or not calibration.likeness:
        return []
    by_network = dict(zip(calibration.networks, calibration.likeness, strict=True))
    return [Distance(by_network[digest]) for digest in digests(runs)]


def digests(runs: Sequence[Opened]) -> list[str]:
    """Return the SHA-256 digests of the checkpoints of runs."""
    return [_digest(run.checkpoint) for run in runs]


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _belongs(calibration: Calibration) -> tuple[list[str], bool]:
    return sorted(calibration.networks), calibration.symmetries
