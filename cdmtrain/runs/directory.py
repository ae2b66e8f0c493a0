"""Where a run writes: a directory of its own, locked while it is trained, that a later start can go on with."""

import json
import logging
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from filelock import FileLock, Timeout
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from cdmtrain.atomic import write_text
from cdmtrain.errors import InputError
from cdmtrain.runs.names import new_name
from cdmtrain.runs.trust import read_config

CHILD = "CDMTRAIN_RUN_DIR"  # tells the other processes of a several-device run where it writes
FREE = ("run", "print_config")  # settings that may stand beside run=
RUN_FILES = ("provenance.json", "status.json", "metrics.csv", "results.json", "predictions.h5")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunDirectory:
    """One run's place and its configuration, resolved."""

    path: Path
    cfg: DictConfig

    @property
    def last_checkpoint(self) -> Path | None:
        """Where a start in this directory goes on from; None for a fresh one."""
        path = self.path / "checkpoints" / "last.ckpt"
        return path if path.exists() else None

    @property
    def best_checkpoint(self) -> Path:
        return self.path / "checkpoints" / "best.ckpt"


@contextmanager
def opened(cfg: DictConfig) -> Iterator[RunDirectory]:
    """The directory of the run that `cfg` asks for, new or, with `run=`, an old one with its own configuration."""
    if CHILD in os.environ:  # the first process of the run holds the lock and has written the configuration
        yield RunDirectory(Path(os.environ[CHILD]), _own_config(cfg, Path(os.environ[CHILD])))
        return
    path = Path(cfg.run) if cfg.get("run") else _place(cfg)
    if cfg.get("run"):
        _check_resumable(path)
    path.mkdir(parents=True, exist_ok=True)
    with _locked(path):
        _remove_half_files(path)
        _begin(cfg, path)
        if not cfg.get("run") and is_first_process() and _has_failed(path):
            _clear(path)
        recorded = read_config(path) if cfg.get("run") else _own_config(cfg, path)
        os.environ[CHILD] = str(path)
        try:
            yield RunDirectory(path, recorded)
        finally:
            os.environ.pop(CHILD, None)


def reserved(cfg: DictConfig) -> Path:
    """The directory of a run that will be trained later, by a job of a cluster, with its configuration in it."""
    path = Path(cfg.run) if cfg.get("run") else _place(cfg)
    if cfg.get("run"):
        _check_resumable(path)
    path.mkdir(parents=True, exist_ok=True)
    _begin(cfg, path)
    return path


def slurm_job() -> str:
    """The number of the SLURM job that this process is of, by which scontrol knows it; empty outside of one."""
    array, task = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    return f"{array}_{task}" if array and task else os.environ.get("SLURM_JOB_ID", "")


def is_first_process() -> bool:
    """Whether this is the process of a run on several devices that writes its files and prints.

    Whatever started the processes has numbered them: torchrun (RANK), this program (LOCAL_RANK, on NODE_RANK), SLURM.
    """
    for names in (("RANK",), ("LOCAL_RANK", "NODE_RANK"), ("SLURM_PROCID",)):
        if names[0] in os.environ:
            return all(int(os.environ.get(name, 0)) == 0 for name in names)
    return True


def job_hash(cfg: DictConfig) -> str:
    """8 hex digits of the resolved configuration, wherever and beside whatever it runs."""
    content = OmegaConf.to_container(cfg, resolve=True)
    assert isinstance(content, dict)
    for name in ("run_dir", "run", "sweep", "launch", "print_config"):
        content.pop(name, None)
    return blake2b(OmegaConf.to_yaml(OmegaConf.create(content), sort_keys=True).encode(), digest_size=4).hexdigest()


def _place(cfg: DictConfig) -> Path:
    if cfg.run_dir:
        return Path(cfg.run_dir)
    hydra = HydraConfig.get()
    model = dict(hydra.runtime.choices)["model"]
    if hydra.mode == RunMode.MULTIRUN:
        return Path(hydra.sweep.dir) / f"{model}_seed{cfg.seed}_{job_hash(cfg)}"
    return Path("outputs/train") / model / (_step_name() or new_name())


def _step_name() -> str:
    """The name under srun: the same for all its processes, and when the job has been queued again."""
    step = os.environ.get("SLURM_STEP_ID")
    return f"slurm_{slurm_job()}_{step}" if step and not sys.stdin.isatty() else ""


def _begin(cfg: DictConfig, path: Path) -> None:
    """Write config.yaml; where there is one, it must be of the same run."""
    if not is_first_process():
        return
    config = path / "config.yaml"
    if not config.exists():
        _record(cfg, path)
    elif not cfg.get("run"):
        _check_same(cfg, config)


def _remove_half_files(path: Path) -> None:
    """Remove what killed processes left under temporary names; the lock is ours, so nobody is writing them."""
    for folder in (path, path / "checkpoints", path / "report") if is_first_process() else ():
        for left in folder.glob(".*.tmp"):
            left.unlink(missing_ok=True)


def _has_failed(path: Path) -> bool:
    status = path / "status.json"
    return status.exists() and json.loads(status.read_text())["state"] == "failed"


def _clear(path: Path) -> None:
    """Remove what a run that failed left, so that it is redone from its beginning, whatever made it fail."""
    log.info("%s has failed before, and begins anew; from its last checkpoint: cdmtrain run=%s", path, path)
    for name in RUN_FILES:
        (path / name).unlink(missing_ok=True)
    for name in ("checkpoints", "report"):
        shutil.rmtree(path / name, ignore_errors=True)


def _record(cfg: DictConfig, path: Path) -> None:
    write_text(path / "config.yaml", OmegaConf.to_yaml(_resolved(cfg, path)))


def _resolved(cfg: DictConfig, path: Path) -> DictConfig:
    resolved = OmegaConf.create(OmegaConf.to_container(cfg, resolve=False))
    assert isinstance(resolved, DictConfig)
    resolved.run_dir = str(path)
    OmegaConf.resolve(resolved)
    return resolved


def _own_config(cfg: DictConfig, path: Path) -> DictConfig:
    """The configuration of a run begun by this command, which may build what its user likes."""
    config = path / "config.yaml"
    if not config.exists():  # the first process of several is about to write it
        return _resolved(cfg, path)
    recorded = OmegaConf.load(config)
    assert isinstance(recorded, DictConfig)
    recorded.run_dir = str(path)
    return recorded


def _check_resumable(run: Path) -> None:
    others = [text for text in HydraConfig.get().overrides.task if text.split("=")[0] not in FREE]
    if others:
        raise InputError(f"run= goes on with that run's own configuration; leave out {' '.join(others)}")
    read_config(run)


def _check_same(cfg: DictConfig, config: Path) -> None:
    """A directory asked for by its name, or by the same configuration of a sweep, may only hold the same run."""
    recorded = OmegaConf.load(config)
    assert isinstance(recorded, DictConfig)
    asked = cfg.copy()
    asked.run_dir = recorded.run_dir
    if job_hash(asked) != job_hash(recorded):
        raise InputError(
            f"{config.parent} holds a run with other settings; choose another directory, or go on with that run by "
            f"run={config.parent}"
        )


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    if not is_first_process():  # which holds the lock
        yield
        return
    lock = FileLock(path / ".lock")
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise InputError(f"{path} is being trained by another process; wait for it or start a run of its own") from None
    try:
        yield
    finally:
        lock.release()
