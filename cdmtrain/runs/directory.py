"""The directory of a training: created or found, locked, and cleared of what an earlier process left."""

import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from cdmtrain.atomic import write_text
from cdmtrain.errors import InputError
from cdmtrain.runs import files
from cdmtrain.runs.legacy import translate
from cdmtrain.runs.names import job_hash, new_run_path
from cdmtrain.runs.process import is_first_process
from cdmtrain.runs.read import read_status
from cdmtrain.runs.trust import read_config

RUN_DIR_ENV = "CDMTRAIN_RUN_DIR"  # tells the other processes of a run on several devices where it writes
ALLOWED_BESIDE_RUN = ("run", "print_config")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunDirectory:
    """A run's directory and its resolved configuration."""

    path: Path
    cfg: DictConfig

    @property
    def last_checkpoint(self) -> Path | None:
        """The checkpoint that training continues from; None for a fresh run."""
        path = self.path / files.LAST_CHECKPOINT
        return path if path.exists() else None


@contextmanager
def open_run(cfg: DictConfig) -> Iterator[RunDirectory]:
    """Lock the directory of the run that `cfg` asks for: a new one or, with run=, an old one and its configuration.

    Raises:
        InputError: where another process trains the run, or the directory holds a run with other settings.
    """
    if RUN_DIR_ENV in os.environ:  # the first process of the run holds the lock and has written the configuration
        path = Path(os.environ[RUN_DIR_ENV])
        yield RunDirectory(path, _own_config(cfg, path))
        return
    path = _make_directory(cfg)
    with _locked(path):
        if is_first_process():
            _remove_temporary_files(path)
            _write_config(cfg, path)
            if not cfg.get("run") and (before := read_status(path)) and before.state == "failed":
                _clear(path)
        recorded = read_config(path) if cfg.get("run") else _own_config(cfg, path)
        os.environ[RUN_DIR_ENV] = str(path)
        try:
            yield RunDirectory(path, recorded)
        finally:
            os.environ.pop(RUN_DIR_ENV, None)


def reserve_run_dir(cfg: DictConfig) -> Path:
    """Create the directory of a run that a job of a cluster will train later, with its configuration in it."""
    path = _make_directory(cfg)
    if is_first_process():
        _write_config(cfg, path)
    return path


def _make_directory(cfg: DictConfig) -> Path:
    if run := cfg.get("run"):
        others = [word for word in HydraConfig.get().overrides.task if word.split("=")[0] not in ALLOWED_BESIDE_RUN]
        if others:
            raise InputError(f"run= continues with that run's own configuration; leave out {' '.join(others)}")
        read_config(Path(run))
    path = Path(run) if run else new_run_path(cfg)
    path.mkdir(parents=True, exist_ok=True)
    return path


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    if not is_first_process():  # the first process holds the lock
        yield
        return
    try:
        lock = FileLock(path / files.LOCK).acquire(blocking=False)
    except Timeout:
        raise InputError(f"{path} is being trained by another process; wait for it, or start a new run") from None
    with lock:
        yield


def _remove_temporary_files(path: Path) -> None:
    """Remove the temporary files of killed processes; as the lock is ours, no process is writing them."""
    for folder in (path, path / files.CHECKPOINTS, path / files.REPORT):
        for file in folder.glob(".*.tmp"):
            file.unlink(missing_ok=True)


def _write_config(cfg: DictConfig, path: Path) -> None:
    """Write config.yaml; where there is one, it must be that of the same run."""
    config = path / files.CONFIG
    if not config.exists():
        write_text(config, OmegaConf.to_yaml(_resolved(cfg, path)))
        return
    if cfg.get("run"):
        return
    recorded, asked = OmegaConf.load(config), cfg.copy()
    assert isinstance(recorded, DictConfig)
    asked.run_dir = recorded.run_dir  # loggers may write there
    if job_hash(asked) != job_hash(recorded):
        raise InputError(
            f"{config.parent} holds a run with other settings; choose another directory, or continue that run with "
            f"run={config.parent}"
        )


def _clear(path: Path) -> None:
    """Remove what a failed run wrote, so that it starts from the beginning, whatever made it fail."""
    log.info("%s failed before and starts again; to continue from its last checkpoint: cdmtrain run=%s", path, path)
    for name in files.WRITTEN_BY_TRAINING:
        (path / name).unlink(missing_ok=True)
    for name in (files.CHECKPOINTS, files.REPORT):
        shutil.rmtree(path / name, ignore_errors=True)


def _own_config(cfg: DictConfig, path: Path) -> DictConfig:
    """Return the configuration of a run begun by this command. It may build any class: the user typed it."""
    if not (path / files.CONFIG).exists():  # the first of several processes is about to write it
        return _resolved(cfg, path)
    recorded = OmegaConf.create(translate(OmegaConf.to_container(OmegaConf.load(path / files.CONFIG))))
    recorded.run_dir = str(path)
    return recorded


def _resolved(cfg: DictConfig, path: Path) -> DictConfig:
    resolved = OmegaConf.create(OmegaConf.to_container(cfg, resolve=False))
    assert isinstance(resolved, DictConfig)
    resolved.run_dir = str(path)
    OmegaConf.resolve(resolved)
    return resolved
