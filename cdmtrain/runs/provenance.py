"""provenance.json: what made a run."""

import json
import os
import platform
import shlex
import socket
import subprocess
import sys
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

import cdmtrain
from cdmtrain.atomic import write_json
from cdmtrain.config.changes import changes
from cdmtrain.errors import InputError
from cdmtrain.runs.directory import is_first_process

PACKAGES = ("torch", "lightning", "torchmetrics", "torch_geometric", "hydra-core", "numpy", "h5py", "numba")


class Provenance:
    """provenance.json of one run: written when the run begins, completed when its data are known, then only read."""

    def __init__(self, path: Path, cfg: DictConfig) -> None:
        self._path = path
        if path.exists():
            self._content = json.loads(path.read_text())
        else:
            self._content = of_this_process(cfg)
            self._write()

    @property
    def choices(self) -> dict[str, str]:
        """The option of every group that the run was begun with."""
        return self._content["choices"]

    @property
    def fingerprints(self) -> list[str]:
        """Fingerprints of the stores that the run was begun with; none before its data are known."""
        return fingerprints(self._content)

    def used(self, data: dict[str, Any], device: torch.device) -> None:
        """Record the data and the device; refuse data that are not what the run was begun with."""
        if "data" not in self._content:
            self._content |= {"accelerator": accelerator_name(device), "data": data}
            self._write()
        began, now = events_in_words(self._content["data"]), events_in_words(data)
        if began != now:
            raise InputError(
                f"{self._path.parent} was begun with {began}, and finds {now} now; go on with the data it began with, "
                "or start a new run"
            )

    def _write(self) -> None:
        if is_first_process():
            write_json(self._path, self._content)


def fingerprints(content: dict[str, Any]) -> list[str]:
    """Fingerprints of the stores that a provenance.json names, one for each source of events."""
    return [source["fingerprint"] for source in content.get("data", {}).get("sources", [])]


def read_fingerprints(run_dir: Path) -> list[str]:
    """Fingerprints of the stores that a run was begun with; none if its provenance.json is gone."""
    path = run_dir / "provenance.json"
    return fingerprints(json.loads(path.read_text())) if path.is_file() else []


def events_in_words(data: dict[str, Any]) -> str:
    """How many events the data of a provenance.json have, in all and in each part, and how many lit pixels."""
    hits = sum(source["num_hits"] for source in data["sources"])
    return f"{data['events']} events ({data['train']}, {data['val']}, {data['test']}) of {hits} lit pixels"


def of_this_process(cfg: DictConfig) -> dict[str, Any]:
    """What is known before any data are: versions, git state, host, command, options chosen, time."""
    hydra = HydraConfig.get()
    return {
        "cdmtrain": cdmtrain.__version__,
        "versions": {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
        "git": git_state(Path(cdmtrain.__file__).parent),
        "host": socket.gethostname(),
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "overrides": list(hydra.overrides.task),
        "choices": {group: option for group, option in dict(hydra.runtime.choices).items() if "hydra/" not in group},
        "changed": changes(cfg),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def accelerator_name(device: torch.device) -> str:
    """The device in words: a GPU's name, or the processor's kind and number of threads."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type == "mps":
        return "Apple GPU (mps)"
    return f"{processor_name()}, {torch.get_num_threads()} of {os.cpu_count()} threads"


def processor_name() -> str:
    """The model of the processor where the system tells it, else its kind."""
    with suppress(OSError, StopIteration):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return f"{platform.machine()} processor"


def git_state(source: Path) -> dict[str, Any]:
    """Commit and dirtiness of the checkout the program runs from; nulls where it is installed."""

    def git(*words: str) -> str | None:
        found = subprocess.run(["git", "-C", str(source), *words], capture_output=True, text=True, check=False)
        return found.stdout.strip() if found.returncode == 0 else None

    try:
        tracked = git("ls-files", "--error-unmatch", "__init__.py") is not None
        if not tracked:
            return {"commit": None, "dirty": None}
        return {"commit": git("rev-parse", "HEAD"), "dirty": bool(git("status", "--porcelain"))}
    except FileNotFoundError:  # no git here
        return {"commit": None, "dirty": None}
