"""The directory of a training: created or found, locked, and cleared of what an earlier process left."""

import logging
import os
import shutil
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from cdmtrain.atomic import write_text
from cdmtrain.config.overrides import apply_overrides, override_keys
from cdmtrain.errors import InputError, Locked
from cdmtrain.lock import Lock
from cdmtrain.particles import read_classes
from cdmtrain.runs import files
from cdmtrain.runs.config_file import read_config_file
from cdmtrain.runs.find import BEST
from cdmtrain.runs.inside import refuse_links
from cdmtrain.runs.longer import KEYS, Changes, changes_so_far, is_longer, set_values, train_longer, typed_changes
from cdmtrain.runs.names import job_hash, new_run_path
from cdmtrain.runs.process import is_first_process
from cdmtrain.runs.read import read_status
from cdmtrain.runs.repair import set_aside_unreadable, set_aside_unreadable_config
from cdmtrain.runs.shipped import GROUPS, check_shipped
from cdmtrain.runs.trust import PARTS, check_targets, read_config, trusted

RUN_DIR_ENV = "CDMTRAIN_RUN_DIR"  # where a run writes, for its other processes; they read what to build from stdin
ALLOWED_BESIDE_RUN = ("run", "print_config", "trust", "report", *GROUPS)

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunDirectory:
    """A run's directory and its resolved configuration."""

    path: Path
    cfg: DictConfig


@contextmanager
def open_run(cfg: DictConfig, *, given: Collection[str] = ()) -> Iterator[RunDirectory]:
    """Lock the directory of the run that `cfg` asks for: a new one or, with run=, an old one and its configuration.

    Args:
        cfg: as composed.
        given: parts of the run that are objects already, so that nothing is built of what an old run recorded of them.

    Raises:
        InputError: where another process trains the run, or the directory holds a run with other settings.
    """
    if RUN_DIR_ENV in os.environ:  # the first process of the run holds the lock, and tells this one what to build
        yield RunDirectory(Path(os.environ[RUN_DIR_ENV]), DictConfig(OmegaConf.create(sys.stdin.read())))
        return
    path = _make_directory(cfg)
    resolved, changes = _continued(cfg, path, given) if cfg.get("run") else (_resolved(cfg, path), {})
    with _locked(path):
        if is_first_process():
            _remove_temporary_files(path)
            set_aside_unreadable(path, len(read_classes(resolved.data.get("particles"))))
            if changes:
                train_longer(path, changes)
            if not cfg.get("run"):
                _write_config(cfg, resolved, path)
            before = read_status(path)
            if before and before.state == "failed":
                _after_failure(path)
            elif before and before.state == "running":
                log.info("%s was killed, perhaps because the memory of its machine or job was full, and goes on", path)
        os.environ[RUN_DIR_ENV] = str(path)
        try:
            yield RunDirectory(path, resolved if cfg.get("run") else _lengthened(resolved, path))
        finally:
            os.environ.pop(RUN_DIR_ENV, None)


def reserve_run_dir(cfg: DictConfig) -> Path:
    """Create the directory of a run that a job of a cluster will train later, with its configuration in it."""
    path = _make_directory(cfg)
    if cfg.get("run"):
        _continued(cfg, path)
    elif is_first_process():
        _write_config(cfg, _resolved(cfg, path), path)
    return path


def _make_directory(cfg: DictConfig) -> Path:
    if run := cfg.get("run"):
        typed = zip(HydraConfig.get().overrides.task, override_keys(), strict=True)
        free = KEYS if is_longer(override_keys()) else ()
        others = [word for word, key in typed if key.partition(".")[0] not in ALLOWED_BESIDE_RUN and key not in free]
        if others:
            words = " ".join(others)
            raise InputError(
                f"run= continues with that run's own configuration; leave out {words}, or begin a new run with its "
                f"weights: weights={run} {words}"
            )
        if run == BEST:
            raise InputError(
                "run=best is the network that comes with cdmtrain and stays as it is; begin a new run with its "
                "weights: weights=best; a directory of that name is ./best"
            )
        config = Path(run, files.CONFIG)
        if not os.path.lexists(config):
            raise InputError(f"run={run}: there is no {files.CONFIG} in it; give the directory of a run")
        if not config.stat().st_size:
            again = f"type the command that began the run again, with run_dir={run}"
            raise InputError(f"{config} is empty; {again}, or restore the file")
    path = Path(run) if run else new_run_path(cfg)
    path.mkdir(parents=True, exist_ok=True)
    if not os.access(path, os.W_OK):
        raise InputError(
            f"{path} is a directory in which you may not write; copy it and go on with the copy (cp -r {path} mine; "
            f"cdmtrain run=mine), or begin a new run with its weights: weights={path}"
        )
    refuse_links(path)
    return path


def _continued(cfg: DictConfig, path: Path, given: Collection[str] = ()) -> tuple[DictConfig, Changes]:
    """Return the configuration of the run that `run=` names, with what was typed, and what makes the run longer.

    Raises:
        InputError: for a class, a setting of the Trainer, or an argument that a stranger may have written.
    """
    trust, source = trusted(cfg.get("trust")), str(path / files.CONFIG)
    recorded = read_config(path, trust=trust, parts=PARTS.keys() - {*GROUPS, *given})
    changes = typed_changes(recorded, cfg, override_keys(), path) if is_longer(override_keys()) else {}
    free = [key.partition(".")[0] for key in KEYS]
    content: Any = OmegaConf.to_container(apply_overrides(recorded, cfg, parts=GROUPS, free=free))
    set_values(content, changes)
    before = str((read_config_file(path) or {}).get("run_dir"))
    check_shipped(content, before, str(path), source=source, typed=override_keys(), trust=trust)
    return DictConfig({**content, "run_dir": str(path)}), changes


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    if not is_first_process():  # the first process holds the lock
        yield
        return
    lock = Lock(path / files.LOCK)
    try:
        lock.acquire(patience_seconds=0)
    except Locked as owner:
        raise InputError(
            f"{path} is being trained by another process ({owner}); wait for it, or start a new run"
        ) from None
    try:
        yield
    finally:
        lock.release()


def _remove_temporary_files(path: Path) -> None:
    """Remove the temporary files of killed processes; as the lock is ours, no process is writing them."""
    for folder in (path, path / files.CHECKPOINTS, path / files.REPORT):
        for file in folder.glob(".*.tmp"):
            file.unlink(missing_ok=True)


def _write_config(cfg: DictConfig, resolved: DictConfig, path: Path) -> None:
    """Write config.yaml; where there is one, it must be that of the same run."""
    config = path / files.CONFIG
    set_aside_unreadable_config(path)
    recorded = read_config_file(path)
    if recorded is None:
        write_text(config, OmegaConf.to_yaml(resolved))
        return
    check_targets(recorded, source=str(config), parts=())
    asked = cfg.copy()
    asked.run_dir = recorded.get("run_dir")  # loggers may write there
    set_values(recorded, {key: [now, before] for key, (before, now) in changes_so_far(path, recorded).items()})
    if job_hash(asked) != job_hash(OmegaConf.create(recorded)):
        raise InputError(
            f"{config.parent} holds a run with other settings; choose another directory, or continue that run with "
            f"run={config.parent}"
        )


def _lengthened(resolved: DictConfig, path: Path) -> DictConfig:
    """The configuration as typed, as long as `run=` has made its training since."""
    content: Any = OmegaConf.to_container(resolved)
    set_values(content, changes_so_far(path, read_config_file(path) or {}))
    return DictConfig(content)


def _after_failure(path: Path) -> None:
    """Let a run that failed go on; one that failed before its first checkpoint begins anew, whatever made it fail."""
    if any((path / name).exists() for name in files.RESUMABLE):
        log.info("%s failed before and goes on from its last checkpoint", path)
        return
    log.info("%s failed before its first checkpoint and begins anew", path)
    for name in files.WRITTEN_BY_TRAINING:
        (path / name).unlink(missing_ok=True)
    shutil.rmtree(path / files.REPORT, ignore_errors=True)


def _resolved(cfg: DictConfig, path: Path) -> DictConfig:
    resolved = OmegaConf.create(OmegaConf.to_container(cfg, resolve=False))
    assert isinstance(resolved, DictConfig)
    resolved.run_dir = str(path)
    resolved.pop("trust", None)
    resolved.pop("report", None)
    OmegaConf.resolve(resolved)
    return resolved
