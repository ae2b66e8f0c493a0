"""Write provenance.json: the versions, command, machine and data that made a run."""

import json
import platform
import shlex
import socket
import subprocess
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

import cdmtrain
from cdmtrain.atomic import write_json
from cdmtrain.config.changes import changes
from cdmtrain.config.roots import user_dirs
from cdmtrain.errors import InputError
from cdmtrain.runs import files
from cdmtrain.runs.check import check
from cdmtrain.runs.process import is_first_process
from cdmtrain.runs.read import read_json
from cdmtrain.runs.records import DataRecord, Provenance, Weights

PLACES = ("run_dir", "sweep", "launch")  # where and by whom a job is run, which need not be repeated
PACKAGES = ("torch", "lightning", "torchmetrics", "torch_geometric", "hydra-core", "numpy", "h5py", "numba")


class RunProvenance:
    """The provenance of one run: written when the run begins, and again when its data are known."""

    def __init__(self, run: Path, cfg: DictConfig, model: object = None) -> None:
        self._path = run / files.PROVENANCE
        content = read_json(run, files.PROVENANCE)
        self._content = content or describe_process(cfg, model)
        if content is None:
            self._write()

    @property
    def record(self) -> Provenance:
        return check(self._content, Provenance, str(self._path))

    def record_data(self, data: dict[str, Any], accelerator: str) -> None:
        """Record the data and the accelerator.

        Args:
            data: as EventData.describe() returns it.
            accelerator: its name.

        Raises:
            InputError: where the run was begun with other data.
        """
        before, now = self.record.data, summary_of(data)
        if before is None:
            self._content |= {"accelerator": accelerator, "data": data}
            self._write()
        elif before.summary != now:
            raise InputError(
                f"{self._path.parent} was begun with {before.summary}, but its data now have {now}; continue with the "
                "data it was begun with, or start a new run"
            )

    def record_weights(self, weights: Weights) -> None:
        """Record the weights that the run begins with."""
        self._content |= {"weights": asdict(weights)}
        self._write()

    def _write(self) -> None:
        if is_first_process():
            write_json(self._path, self._content)


def summary_of(data: dict[str, Any]) -> str:
    """Return the counts of events and lit pixels in what EventData.describe() returns, as text."""
    return check(data, DataRecord, "data").summary


def describe_process(cfg: DictConfig, model: object = None) -> dict[str, Any]:
    """Return what is known before the data are: versions, git state, host, command, chosen options, time.

    Args:
        cfg: as composed.
        model: the network, where it was given as an object in Python.
    """
    hydra = HydraConfig.get()
    return {
        "cdmtrain": cdmtrain.__version__,
        "versions": {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
        "git": git_state(Path(cdmtrain.__file__).parent),
        "host": socket.gethostname(),
        "command": command() if model is None else in_python(model),
        "overrides": list(hydra.overrides.task),
        "config_dirs": list(map(str, user_dirs())),
        "choices": {group: option for group, option in dict(hydra.runtime.choices).items() if "hydra/" not in group},
        "changed": changes(cfg),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def command() -> str:
    """Return the command that repeats this job: as typed, or for a job of a sweep or a search its own words."""
    hydra = HydraConfig.get()
    own, typed = list(hydra.overrides.task), sys.argv[1:]
    if hydra.mode == RunMode.RUN and set(own) <= set(typed):
        return shlex.join(["cdmtrain", *typed])
    words = [f"--config-dir={one}" for one in user_dirs()]
    words += [word for word in own if word.lstrip("+~").partition("=")[0].partition(".")[0] not in PLACES]
    return shlex.join(["cdmtrain", *words])


def in_python(model: object) -> str:
    """Return the call that trains a network that was given as an object."""
    words = "".join(f"{json.dumps(word)}, " for word in HydraConfig.get().overrides.task)
    return f"cdmtrain.train({words}model={type(model).__name__}(...))"


def git_state(source: Path) -> dict[str, Any]:
    """Return commit and dirtiness of the checkout that holds `source`; None for both where the program is installed."""

    def git(*words: str) -> str | None:
        found = subprocess.run(["git", "-C", str(source), *words], capture_output=True, text=True, check=False)
        return found.stdout.strip() if found.returncode == 0 else None

    try:
        if git("ls-files", "--error-unmatch", "__init__.py") is not None:
            return {"commit": git("rev-parse", "HEAD"), "dirty": bool(git("status", "--porcelain"))}
    except FileNotFoundError:
        pass  # there is no git on this machine
    return {"commit": None, "dirty": None}
