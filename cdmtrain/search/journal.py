"""The journal of a study, which may be a stranger's: repair it before optuna opens it, and check what it holds."""

import json
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from optuna.storages.journal import JournalFileSymlinkLock
from optuna.trial import FrozenTrial

from cdmtrain.atomic import set_aside, whole_file
from cdmtrain.errors import InputError

log = logging.getLogger(__name__)


@contextmanager
def reading(journal: Path) -> Iterator[None]:
    """Turn what optuna raises about the content of a journal into a sentence; its warnings are of its own features."""
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    except InputError:
        raise
    except (LookupError, TypeError, ValueError, AttributeError, AssertionError, RecursionError) as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise InputError(f"{journal} is not the journal of a study ({reason}); choose another study=") from error


def check_trials(trials: Sequence[FrozenTrial]) -> None:
    """Refuse trials whose values are no numbers: optuna reads whatever the journal says.

    Raises:
        TypeError: with the number of the trial.
    """
    for trial in trials:
        epochs, values = trial.intermediate_values, [*(trial.values or ()), *trial.intermediate_values.values()]
        are_numbers = all(isinstance(value, int | float) for value in values)
        if not are_numbers or not all(isinstance(epoch, int) for epoch in epochs):
            raise TypeError(f"a value of trial {trial.number} is no number")


def drop_cut_lines(journal: Path) -> None:
    """Remove what a kill or a power cut left half at the end of a journal; the old journal is kept.

    optuna never opens such a journal again. Its own lock keeps those out who write meanwhile.
    """
    if not journal.exists():
        return
    lock = JournalFileSymlinkLock(str(journal))
    lock.acquire()
    try:
        lines = journal.read_bytes().splitlines(keepends=True)
        whole = list(lines)
        while whole and not _is_entry(whole[-1]):
            whole.pop()
        if whole == lines:
            return
        kept = set_aside(journal)
        with whole_file(journal) as temporary:
            temporary.write_bytes(b"".join(whole))
    finally:
        lock.release()
    log.warning("%s ends in half a line, which is dropped; the old file is kept as %s", journal, kept.name)


def _is_entry(line: bytes) -> bool:
    with suppress(ValueError):
        return line.endswith(b"\n") and isinstance(json.loads(line), dict)
    return False
