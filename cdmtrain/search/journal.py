"""Repair the journal of a study before optuna opens it."""

import json
import logging
from contextlib import suppress
from pathlib import Path

from optuna.storages.journal import JournalFileSymlinkLock

from cdmtrain.atomic import set_aside, whole_file

log = logging.getLogger(__name__)


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
