"""The times in benchmark.json: medians and quartiles of every stage, and the parts of a training step."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

JOB = "benchmark.json"  # in the directory of each benchmark

STAGES = {  # in the order of the tables
    "loader": "loader",
    "representation": "representation",
    "plain": "plain PyTorch step",
    "training": "training step",
    "inference": "inference",
    "epoch": "whole epoch",
}
PERCENTILES = (25, 50, 75)


@dataclass(frozen=True)
class Benchmark:
    """One job: the content of its benchmark.json, and a name that tells it from other jobs."""

    name: str
    content: dict[str, Any]

    def seconds(self, stage: str) -> NDArray[np.float64]:
        """Quartiles of the time of a batch over all batches of all blocks; of an epoch over the epochs."""
        blocks = self.content["stages"][stage]
        return np.percentile([seconds for block in blocks for seconds in block["seconds"]], PERCENTILES)

    def events_per_second(self, stage: str) -> NDArray[np.float64]:
        """Quartiles over blocks."""
        blocks = self.content["stages"][stage]
        return np.percentile([sum(block["events"]) / sum(block["seconds"]) for block in blocks], PERCENTILES)

    def step_parts(self) -> dict[str, float]:
        """The 25th percentiles of a training step and of its parts, in seconds; the rest may come out negative.

        Noise only adds to a time, so the lower quartile is closer to what the work takes than the median.
        """
        names = {"step": "training", "plain": "plain", "loader": "loader", "representation": "representation"}
        parts = {name: float(self.seconds(stage)[0]) for name, stage in names.items()}
        return parts | {"rest": 2 * parts["step"] - sum(parts.values())}

    @property
    def overhead(self) -> float:
        """How much longer a training step is than the plain loop's, as a fraction."""
        parts = self.step_parts()
        return parts["step"] / parts["plain"] - 1

    @property
    def added_memory(self) -> int:
        """The peak memory beyond what the process and its libraries held before it opened the data, in bytes."""
        return max(self.content["peak_memory_bytes"] - self.content["memory_before_bytes"], 0)

    @property
    def busy_share(self) -> float:
        """The fraction of a training step in which the GPU computes; NaN without a GPU."""
        seconds = self.content["device_seconds"]
        return float(seconds / self.seconds("training")[1]) if seconds is not None else math.nan


def read_benchmarks(folders: Sequence[Path]) -> list[Benchmark]:
    """Read benchmarks; each is named by its model and by the overrides that the others do not share."""
    contents = [json.loads((folder / JOB).read_text()) for folder in folders]
    shared = set.intersection(*(set(content["overrides"]) for content in contents))
    return [Benchmark(_name(content, shared), content) for content in contents]


def _name(content: dict[str, Any], shared: set[str]) -> str:
    own = [word for word in content["overrides"] if word not in shared and not word.startswith("model=")]
    return " ".join([content["model"], *own])
