"""What benchmarks found, read from their files: medians and quartiles of every stage, and what they add up to."""

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
    """One job: what benchmark.json says, and its name among others."""

    name: str
    content: dict[str, Any]

    def seconds(self, stage: str) -> NDArray[np.float64]:
        """Quartiles of the time of a batch over all batches of all blocks; of an epoch over the epochs."""
        return np.percentile(
            [each for block in self.content["stages"][stage] for each in block["seconds"]], PERCENTILES
        )

    def events_per_second(self, stage: str) -> NDArray[np.float64]:
        """Quartiles over blocks."""
        blocks = self.content["stages"][stage]
        return np.percentile([sum(block["events"]) / sum(block["seconds"]) for block in blocks], PERCENTILES)

    def step_parts(self) -> dict[str, float]:
        """The 25th percentiles of a training step and of what is in it, in seconds; the rest may come out below zero.

        Noise only adds to a time, so the lower quartile is nearer to what the work takes than the median.
        """
        step, plain, loader, representation = (
            float(self.seconds(stage)[0]) for stage in ("training", "plain", "loader", "representation")
        )
        rest = step - plain - loader - representation
        return {"step": step, "plain": plain, "loader": loader, "representation": representation, "rest": rest}

    @property
    def overhead(self) -> float:
        """By how much a training step is longer than the plain loop's, as a fraction."""
        parts = self.step_parts()
        return parts["step"] / parts["plain"] - 1

    @property
    def busy_share(self) -> float:
        """The part of a training step in which a GPU computes; not a number where there is none."""
        seconds = self.content["device_seconds"]
        return float(seconds / self.seconds("training")[1]) if seconds is not None else math.nan


def read_benchmarks(folders: Sequence[Path]) -> list[Benchmark]:
    """The benchmarks of some directories, each named by its model and by the settings that the others do not share."""
    contents = [json.loads((folder / JOB).read_text()) for folder in folders]
    shared = set.intersection(*(set(content["overrides"]) for content in contents))
    return [Benchmark(_name(content, shared), content) for content in contents]


def _name(content: dict[str, Any], shared: set[str]) -> str:
    own = [word for word in content["overrides"] if word not in shared and not word.startswith("model=")]
    return " ".join([content["model"], *own])
