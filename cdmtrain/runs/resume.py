"""Choose the checkpoint that a training goes on from."""

import pickle
import zipfile
from pathlib import Path

from cdmtrain.errors import InputError
from cdmtrain.runs import files
from cdmtrain.runs.checkpoint import read_checkpoint
from cdmtrain.runs.process import is_first_process
from cdmtrain.runs.repair import warn_set_aside


def checkpoint_to_resume(run: Path) -> Path | None:
    """Return the newest checkpoint that training can go on from; None where there is none.

    Damaged ones are renamed, with a warning, by the first of several processes; if that leaves nothing else, the
    weights of best.ckpt are returned. A whole one that holds other objects than tensors and numbers raises InputError.
    """
    best_is_whole = _is_whole_checkpoint(run / files.BEST_CHECKPOINT)
    present = [path for path in (run / name for name in files.RESUMABLE) if path.exists()]
    whole = [path for path in present if _is_whole_checkpoint(path)]
    if whole or not present:
        return next(iter(whole), None)
    return run / files.BEST_CHECKPOINT if best_is_whole else None


def _is_whole_checkpoint(path: Path) -> bool:
    """Whether a checkpoint can be read; a damaged one is renamed."""
    if not path.exists():
        return False
    try:
        read_checkpoint(path)
        return True
    except InputError as error:
        if isinstance(error.__cause__, pickle.UnpicklingError) and zipfile.is_zipfile(path):
            raise  # no accident
        if is_first_process():
            warn_set_aside(path, error)
        return False
