"""Names of run directories."""

import os
import secrets
import sys
from datetime import datetime
from hashlib import blake2b
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from cdmtrain.errors import InputError
from cdmtrain.runs.legacy import as_in_0_1
from cdmtrain.runs.process import slurm_job

NOT_HASHED = (
    "run_dir",
    "run",
    "sweep",
    "launch",
    "print_config",
    "trust",
    "report",
)  # they change neither the training nor its result


def new_name() -> str:
    """Return <date>_<time>_<random>, which never collides."""
    return f"{datetime.now():%Y-%m-%d_%H%M%S}_{secrets.token_hex(3)}"


def new_run_path(cfg: DictConfig) -> Path:
    """Return where a new run writes: run_dir=, else a job's own place in a sweep, else a new directory.

    A job of a sweep has the same place each time its command is typed, so that finished jobs are passed over.
    """
    if cfg.run_dir:
        return Path(cfg.run_dir)
    hydra = HydraConfig.get()
    if hydra.mode == RunMode.MULTIRUN:
        return Path(hydra.sweep.dir) / job_name(cfg)
    return Path("outputs/train") / _model_option() / (_step_name() or new_name())


def new_output_path(cfg: DictConfig, task: str) -> Path:
    """Return the new directory of a task that trains nothing: run_dir=, else outputs/<task>/<a new name>.

    Raises:
        InputError: where run_dir= is there already and is not empty.
    """
    path = Path(cfg.run_dir) if cfg.run_dir else Path("outputs") / task / new_name()
    if path.is_file() or (path.is_dir() and any(path.iterdir())):
        raise InputError(f"run_dir={path} exists; choose another directory or remove it")
    return path


def job_name(cfg: DictConfig) -> str:
    """Return the name of a sweep's job: <model>_seed<seed>_<hash>, wherever the job stands in the sweep."""
    return f"{_model_option()}_seed{cfg.seed}_{job_hash(cfg)}"


def job_hash(cfg: DictConfig) -> str:
    """Return 8 hex digits of a resolved configuration, the same in every version of the program."""
    content = OmegaConf.to_container(cfg, resolve=True)
    assert isinstance(content, dict)
    content = as_in_0_1({str(key): value for key, value in content.items() if key not in NOT_HASHED})
    return blake2b(OmegaConf.to_yaml(OmegaConf.create(content), sort_keys=True).encode(), digest_size=4).hexdigest()


def _model_option() -> str:
    return str(dict(HydraConfig.get().runtime.choices)["model"])


def _step_name() -> str:
    """Return the name under srun: the same in all its processes and after the job was requeued; empty elsewhere."""
    step = os.environ.get("SLURM_STEP_ID")
    return f"slurm_{slurm_job()}_{step}" if step and not sys.stdin.isatty() else ""
