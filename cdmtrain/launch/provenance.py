"""provenance.json: what made a run."""

import os
import platform
import shlex
import socket
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

import cdmtrain

PACKAGES = ("torch", "lightning", "torchmetrics", "torch_geometric", "hydra-core", "numpy", "h5py", "numba")


def provenance(data: dict[str, Any], device: torch.device) -> dict[str, Any]:
    """Versions, git state, host, accelerator, command and data of this process's run."""
    hydra = HydraConfig.get()
    return {
        "cdmtrain": cdmtrain.__version__,
        "versions": {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
        "git": git_state(Path(cdmtrain.__file__).parent),
        "host": socket.gethostname(),
        "accelerator": accelerator_name(device),
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "overrides": list(hydra.overrides.task),
        "choices": {k: v for k, v in OmegaConf.to_container(hydra.runtime.choices).items() if "hydra/" not in k},  # type: ignore[union-attr, operator]
        "data": data,
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def accelerator_name(device: torch.device) -> str:
    """The device in words: a GPU's name, or the processor's kind and number of threads."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type == "mps":
        return "Apple GPU (mps)"
    return f"{platform.machine()} processor, {torch.get_num_threads()} of {os.cpu_count()} threads"


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
