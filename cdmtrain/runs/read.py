"""Read the files of a run directory. Every value is checked here; a run may come from a stranger."""

import csv
import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from cdmtrain.errors import InputError
from cdmtrain.existence_lock import file_system_time
from cdmtrain.liveness import is_alive
from cdmtrain.particles import Classes, names_of
from cdmtrain.runs import files
from cdmtrain.runs.check import check, wrong
from cdmtrain.runs.config_file import read_config_file
from cdmtrain.runs.inside import read_text
from cdmtrain.runs.records import (
    COPIED_AFTER_SECONDS,
    LOST_AFTER_SECONDS,
    Provenance,
    Results,
    Settings,
    Status,
    Submission,
)
from cdmtrain.runs.results import check_classes, check_results

if TYPE_CHECKING:
    from cdmtrain.runs.calibration import Calibration
    from cdmtrain.runs.predictions import Learned, Mistakes, Predictions
    from cdmtrain.runs.pretrained import Pretrained

Record = TypeVar("Record")


@dataclass(frozen=True)
class RunFiles:
    """The content of a run directory. Attributes of absent files are None or empty."""

    directory: Path
    config: dict[str, Any] = field(default_factory=dict)  # config.yaml as it is, for display
    settings: Settings = field(default_factory=Settings)  # the part of config.yaml that is used by name
    provenance: Provenance = field(default_factory=Provenance)
    status: Status | None = None
    is_lost: bool = False  # it says that it is running, and is not
    submission: Submission | None = None
    results: Results = field(default_factory=dict)
    history: dict[str, NDArray[np.float64]] = field(default_factory=dict)  # metrics.csv: column -> (epoch,)
    predictions: "Predictions | None" = None
    mistakes: "Mistakes | None" = None
    learned: "Learned | None" = None
    pretrained: "Pretrained | None" = None
    calibrations: "list[Calibration]" = field(default_factory=list)
    missing: tuple[str, ...] = ()  # names out of those that a finished run has
    problem: str | None = None  # why the run cannot be read

    @property
    def classes(self) -> Classes:
        """What the network tells apart."""
        return self.settings.classes

    @property
    def class_names(self) -> tuple[str, ...]:
        return names_of(self.classes)

    @property
    def state(self) -> str:
        """The state in status.json, "lost" without a heartbeat, "unreadable" or "unknown"."""
        if self.problem:
            return "unreadable"
        if self.status is None:
            return "unknown"
        return "lost" if self.is_lost else self.status.state

    @property
    def error(self) -> str | None:
        """Why the run failed or cannot be read."""
        return self.problem or (self.status.error if self.status else None)


def read_run(run: Path, *, with_predictions: bool = True) -> RunFiles:
    """Read a run directory; the predictions, which are large, only when wanted.

    Raises:
        InputError: where it is no directory or one of its files is damaged.
    """
    if not run.is_dir():
        raise InputError(f"{run} is not a directory; give the directory of a run, one that holds a {files.CONFIG}")
    from cdmtrain.runs import calibration, predictions, pretrained  # slow, because of h5py, and task=status needs none

    config, status = read_config_file(run) or {}, read_status(run)
    settings = check(config, Settings, str(run / files.CONFIG))
    num_classes = len(_classes(settings, run))
    results = read_results(run) or {}
    expected = files.EXPECTED_WITHOUT_LABELS if settings.objective else files.EXPECTED
    check_classes(results, num_classes, str(run / files.RESULTS))
    return RunFiles(
        directory=run,
        config=config,
        settings=settings,
        provenance=read_provenance(run),
        status=status,
        is_lost=status is not None and is_lost(run, status),
        submission=read_submission(run),
        results=results,
        history=read_history(run),
        predictions=predictions.read_predictions(run, num_classes) if with_predictions else None,
        mistakes=predictions.read_mistakes(run, num_classes) if with_predictions else None,
        learned=predictions.read_learned(run, num_classes) if with_predictions else None,
        pretrained=pretrained.read_pretrained(run, num_classes) if with_predictions else None,
        calibrations=calibration.read_calibrations(run) if with_predictions else [],
        missing=tuple(name for name in expected if not (run / name).is_file()),
    )


def _classes(settings: Settings, run: Path) -> Classes:
    """What the network of a run tells apart, and whose ROC areas are metrics, both checked."""
    try:
        _ = settings.pairs
        return settings.classes
    except InputError as error:
        raise InputError(f"{run / files.CONFIG}: {error}") from error


def read_run_or_problem(run: Path) -> RunFiles:
    """Read a run directory without its predictions; where that fails the result says why in `problem`."""
    try:
        return read_run(run, with_predictions=False)
    except InputError as error:
        return RunFiles(run, problem=str(error))


def read_status(run: Path) -> Status | None:
    """Read status.json; None where there is none."""
    return _read_record(run, files.STATUS, Status)


def is_lost(run: Path, status: Status) -> bool:
    """Whether a run says that it is running although its process is gone, or its last heartbeat is old.

    Only a process on this machine is looked up, stopped or not. The age of a heartbeat is taken by the clock of the
    file system, as two machines may differ; where nothing can be written there, by ours. A heartbeat that says itself
    that it is half an hour old was copied.
    """
    if status.state != "running":
        return False
    alive = is_alive(status.process_identity)
    if alive is not None:
        return not alive
    try:
        now = file_system_time(run)
    except OSError:
        now = time.time()
    is_copied = status.updated is None or now - status.updated.timestamp() > COPIED_AFTER_SECONDS
    return is_copied or now - (run / files.STATUS).stat().st_mtime > LOST_AFTER_SECONDS


def is_finished(run: Path) -> bool:
    """Whether nothing is left to train: the run has ended well, or its loss is no number any more."""
    status = read_status(run)
    return status is not None and status.state in ("finished", "diverged")


def read_provenance(run: Path) -> Provenance:
    """Read provenance.json; an empty record where there is none."""
    return _read_record(run, files.PROVENANCE, Provenance) or Provenance()


def read_submission(run: Path) -> Submission | None:
    """Read submission.json; None where the run was not submitted to a cluster."""
    return _read_record(run, files.SUBMISSION, Submission)


def read_results(run: Path) -> Results | None:
    """Read results.json; None where there is none."""
    path = run / files.RESULTS
    content = read_json(run, files.RESULTS)
    if content is None:
        return None
    return check_results(content, str(path))


def read_history(run: Path) -> dict[str, NDArray[np.float64]]:
    """Read the columns of metrics.csv, (epoch,) each and NaN where a field is blank; empty where there is no file."""
    path = run / files.METRICS
    rows = read_metrics(run)
    names = rows[0] if rows else ()
    return {name: np.array([_number(row[name], f"{path}: {name}") for row in rows]) for name in names}


def read_metrics(run: Path) -> list[dict[str, str]]:
    """Read the rows of metrics.csv as they are written, one an epoch; empty where there is no file."""
    path = run / files.METRICS
    text = read_text(run, files.METRICS)
    if text is None:
        return []
    rows = list(csv.DictReader(text.splitlines()))
    for number, row in enumerate(rows, start=2):
        if None in row or None in row.values():
            raise InputError(
                f"{path}: line {number} has not as many fields as the first; restore the file or remove it"
            )
        if not row.get("epoch", "").isdecimal():
            raise wrong(f"{path}: epoch in line {number}", row.get("epoch"), "a whole number")
    return rows


def read_json(run: Path, name: str) -> dict[str, Any] | None:
    """Read the mapping in a JSON file of a run; None where there is no file."""
    text, path = read_text(run, name), run / name
    if text is None:
        return None
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not valid JSON ({error}); restore the file or remove it") from error
    return check(content, dict[str, Any], str(path))


def _read_record(run: Path, name: str, kind: type[Record]) -> Record | None:
    content = read_json(run, name)
    return None if content is None else check(content, kind, str(run / name))


def _number(field: str, where: str) -> float:
    try:
        return float(field or "nan")
    except ValueError:
        raise wrong(where, field, "a number") from None
