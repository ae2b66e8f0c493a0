"""Train a run longer, in place: `run=R trainer.max_epochs=40` replaces the end of the training in its configuration."""

import math
import shlex
import sys
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from omegaconf import DictConfig, OmegaConf

import cdmtrain
from cdmtrain.atomic import write_json, write_text
from cdmtrain.config.sources import select
from cdmtrain.errors import InputError
from cdmtrain.runs import files
from cdmtrain.runs.checkpoint import read_checkpoint
from cdmtrain.runs.config_file import read_config_file
from cdmtrain.runs.read import is_finished, read_json, read_provenance, read_status
from cdmtrain.runs.resume import checkpoint_to_resume
from cdmtrain.runs.status import write_reopened

LIMITS = ("trainer.max_epochs", "trainer.max_steps")
KEYS = (*LIMITS, "scheduler", "optimizer.lr")  # what may be typed beside run= to train longer

Changes = dict[str, list[Any]]  # dotted key -> [value before, value typed]


class Progress(NamedTuple):
    """How far a training has come."""

    epochs: int  # that have begun
    steps: int
    is_over: bool
    stopped_early: bool


def is_longer(keys: Collection[str]) -> bool:
    """Whether a limit is among the keys that were typed beside run=."""
    return not {*LIMITS}.isdisjoint(keys)


def typed_changes(recorded: DictConfig, cfg: DictConfig, keys: Collection[str], path: Path) -> Changes:
    """Return what was typed beside `run=` and differs from the configuration of the run.

    Args:
        recorded: the configuration of the run.
        cfg: as composed from the command line.
        keys: that were typed.
        path: the directory of the run.

    Raises:
        InputError: where the rate of the run was planned for its whole training, or a rate is typed beside a schedule.
    """
    pairs = {key: [_plain(recorded, key), _plain(cfg, key)] for key in KEYS if key in keys}
    changes = {key: pair for key, pair in pairs.items() if pair[0] != pair[1]}
    _check_schedule(changes, keys, _plain(recorded, "scheduler"), path)
    return changes


def _check_schedule(changes: Changes, keys: Collection[str], schedule: Any, path: Path) -> None:
    begin = f"or begin a new run with its weights: weights={path}"
    if changes.get("scheduler", [None, None])[1] is not None:
        raise InputError(f"a run goes on with its own schedule or with scheduler=none; leave out scheduler=, {begin}")
    if "scheduler" in changes:
        if "optimizer.lr" not in keys:
            raise InputError("scheduler=none keeps the rate constant; add it: optimizer.lr=...")
        return
    if isinstance(schedule, dict) and schedule.get("num_steps_argument") and changes:
        name = str(select(schedule, "scheduler._target_")).rpartition(".")[2]
        raise InputError(
            f"the learning rate of {path} was planned for a training of fixed length ({name}); go on at a constant "
            f"rate with scheduler=none optimizer.lr=..., {begin}"
        )
    if schedule and "optimizer.lr" in changes:
        raise InputError(f"optimizer.lr changes the past of a schedule; add scheduler=none, {begin}")


def train_longer(path: Path, changes: Changes) -> None:
    """Replace the values in config.yaml, list the old ones in provenance.json, and let the run go on.

    The caller holds the lock of the run. A kill between two of the files leaves a run that goes on as it was before.

    Raises:
        InputError: where the training would have to become shorter, or would not become longer.
    """
    content = read_config_file(path)
    assert content is not None
    limits = {key: select(content, key) for key in LIMITS}
    progress = read_progress(path, limits)
    check_progress(path, progress, limits | {key: changes[key][1] for key in LIMITS if key in changes}, changes)
    write_reopened(path)
    _record(path, changes, progress)
    set_values(content, changes)
    if progress.is_over and (previous := path / files.PREVIOUS_CHECKPOINT).exists():
        previous.replace(path / files.LAST_CHECKPOINT)  # of the last step; the end is not between two steps
    write_text(path / files.CONFIG, OmegaConf.to_yaml(OmegaConf.create(content)))


def changes_so_far(path: Path, content: Mapping[str, Any]) -> Changes:
    """Return what made a run longer since it was begun: dotted key -> [value at first, value in its configuration].

    Args:
        path: the directory of the run.
        content: its configuration, which decides: after a kill provenance.json may have an entry too many.
    """
    values: dict[str, list[Any]] = {}  # the first one, and those that were typed
    for entry in read_provenance(path).trained_longer:
        for key, pair in entry.changed.items():
            values.setdefault(key, pair[:1]).extend(pair[1:])
    now = {key: select(content, key) for key in KEYS if key in values}
    return {
        key: [values[key][0], value]
        for key, value in now.items()
        if value in values[key][1:] and (value is None or type(value) in (int, float))
    }


def read_progress(path: Path, limits: Mapping[str, Any]) -> Progress:
    """Read from the newest checkpoint how far a run has come, whose training was to end at these limits."""
    checkpoint = checkpoint_to_resume(path)
    if checkpoint is None:
        return Progress(0, 0, is_over=False, stopped_early=False)
    content = read_checkpoint(checkpoint)
    try:
        steps = int(content["global_step"])
        if checkpoint == path / files.BEST_CHECKPOINT:
            return Progress(int(content["epoch"]) + 1, steps, is_over=is_finished(path), stopped_early=False)
        epochs = int(content["loops"]["fit_loop"]["epoch_progress"]["current"]["ready"])
        state = content["callbacks"]["RunCheckpoint"]
        is_over = bool(state["finished"])
    except (LookupError, TypeError, ValueError) as error:
        raise InputError(f"{checkpoint} does not fit this run ({error}); restore the file or remove it") from error
    short = epochs < _limit(limits["trainer.max_epochs"]) and steps < _limit(limits["trainer.max_steps"])
    return Progress(epochs, steps, is_over, is_over and bool(state.get("stopped", short)))


def check_progress(path: Path, progress: Progress, limits: Mapping[str, Any], changes: Changes) -> None:
    """Refuse limits that are below what is trained, and those that would train nothing more."""
    done = {"trainer.max_epochs": progress.epochs, "trainer.max_steps": progress.steps}
    units = {"trainer.max_epochs": "epochs", "trainer.max_steps": "steps"}
    begin = f"begin a new run with its weights: weights={path}"
    for key in [key for key in LIMITS if key in changes and _limit(limits[key]) < done[key]]:
        raise InputError(f"{path} has {done[key]} {units[key]} behind it; {key}={limits[key]} would be fewer")
    status = read_status(path)
    if status is not None and status.state == "diverged":
        raise InputError(f"{path} diverged, and a longer training would not mend it; {begin}")
    if progress.stopped_early:
        raise InputError(f"{path} stopped early in epoch {progress.epochs}, and would stop there again; {begin}")
    for key in [key for key in LIMITS if progress.is_over and _limit(limits[key]) <= done[key]]:
        raise InputError(f"{path} ended after {done[key]} {units[key]}; raise {key}={limits[key]} too")


def _record(path: Path, changes: Changes, progress: Progress) -> None:
    """Add an entry to the list `trained_longer` of provenance.json, and update what differs from the defaults."""
    content = read_json(path, files.PROVENANCE)
    if content is None:  # lost; the run writes a new one
        return
    entry = {
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "cdmtrain": cdmtrain.__version__,
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "epochs": progress.epochs,
        "changed": changes,
    }
    entries = [one for one in content.get("trained_longer") or [] if one.get("changed") != changes]
    changed = dict(content.get("changed") or {})
    for key, (before, now) in changes.items():
        if key == "scheduler":
            changed = {name: pair for name, pair in changed.items() if name.partition(".")[0] != key}
        else:
            changed[key] = [changed.get(key, [before])[0], now]
    write_json(path / files.PROVENANCE, content | {"trained_longer": [*entries, entry], "changed": changed})


def _plain(cfg: DictConfig, key: str) -> Any:
    """The plain value of a key; None where it is absent or an empty node."""
    value = OmegaConf.select(cfg, key)
    return (OmegaConf.to_container(value, resolve=True) or None) if OmegaConf.is_config(value) else value


def _limit(value: Any) -> float:
    """A limit of the Trainer as a number; none and -1 are no limit."""
    return value if type(value) is int and value >= 0 else math.inf


def set_values(content: dict[str, Any], changes: Changes) -> None:
    """Set the new values in a plain configuration; None removes the key."""
    for key, (_, value) in changes.items():
        node, name = content, key
        while "." in name:
            first, _, name = name.partition(".")
            node = node[first]
        if value is None:
            node.pop(name, None)
        else:
            node[name] = value
