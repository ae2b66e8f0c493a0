"""What is measured: rows of the table, calls timed in turn, and the machine they were timed on."""

import platform
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import torch


@dataclass
class Row:
    """One figure beside its target."""

    what: str
    measured: float
    unit: str
    target: float | None  # None: for comparison alone
    cdmtrain: str  # what was timed here
    peer: str  # and there
    spread: tuple[float, float] | None = None  # quartiles of the ratios
    at_least: bool = True  # the target is the least that is wanted, not the most

    @property
    def reached(self) -> bool | None:
        if self.target is None:
            return None
        return self.measured >= self.target if self.at_least else self.measured <= self.target


def in_turn(sides: Mapping[str, Callable[[], object]], *, rounds: int) -> dict[str, np.ndarray]:
    """Seconds of each side: a call of every one, again and again; a first round that warms up is not kept."""
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds + 1):
        for name, call in sides.items():
            since = time.perf_counter()
            call()
            seconds[name].append(time.perf_counter() - since)
    return {name: np.array(taken[1:]) for name, taken in seconds.items()}


def quartiles(values: np.ndarray) -> tuple[float, float]:
    low, high = np.percentile(values, [25, 75])
    return float(low), float(high)


def machine() -> str:
    """Processor, cores, threads, versions, commit, date."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    git = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    commit = subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip() or "unknown"
    return (
        f"{names[0] if names else platform.processor() or platform.machine()}, {torch.get_num_threads()} threads, "
        f"torch {torch.__version__}, commit {commit}, {datetime.now():%Y-%m-%d %H:%M}"
    )
