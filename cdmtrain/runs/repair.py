"""Set the files of a run aside that cannot be read, as a power cut may leave them: each costs itself, not the run."""

import logging
from collections.abc import Callable
from pathlib import Path

from cdmtrain.atomic import set_aside
from cdmtrain.errors import InputError
from cdmtrain.runs import files
from cdmtrain.runs.config_file import read_config_file
from cdmtrain.runs.predictions import read_learned, read_mistakes, read_predictions
from cdmtrain.runs.read import read_history, read_provenance, read_results, read_status, read_submission

READERS: dict[str, Callable[[Path], object]] = {
    files.STATUS: read_status,
    files.PROVENANCE: read_provenance,
    files.SUBMISSION: read_submission,
    files.METRICS: read_history,
    files.RESULTS: read_results,
}
READERS_OF_CLASSES: dict[str, Callable[[Path, int], object]] = {
    files.PREDICTIONS: read_predictions,
    files.MISTAKES: read_mistakes,
    files.LEARNED: read_learned,
}

log = logging.getLogger(__name__)


def set_aside_unreadable(run: Path, num_classes: int) -> None:
    """Rename every file of the run, but its configuration, that cannot be read. The caller holds the run's lock."""
    of_classes = {name: _with_classes(read, num_classes) for name, read in READERS_OF_CLASSES.items()}
    for name, read in (READERS | of_classes).items():
        try:
            read(run)
        except InputError as error:
            warn_set_aside(run / name, error)


def _with_classes(read: Callable[[Path, int], object], num_classes: int) -> Callable[[Path], object]:
    return lambda run: read(run, num_classes)


def set_aside_unreadable_config(run: Path) -> None:
    """Rename a configuration that cannot be read, where the command that begins the run is typed again."""
    try:
        read_config_file(run)
    except InputError as error:
        warn_set_aside(run / files.CONFIG, error)


def warn_set_aside(path: Path, error: InputError) -> None:
    """Rename a file that cannot be read, and say so."""
    reason = str(error).removesuffix("; restore the file or remove it")
    log.warning("%s; it is kept as %s, and the run goes on without it", reason, set_aside(path).name)
