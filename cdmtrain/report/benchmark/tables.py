"""The times in benchmark.json, and the tables of a benchmark: on the terminal, on the page, as CSV."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Group
from rich.table import Table as TerminalTable
from rich.text import Text

from cdmtrain.report.kit.numbers import count, duration, memory, percent, rate
from cdmtrain.report.kit.page import Rows
from cdmtrain.report.kit.tables import Table

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


def read_benchmarks(folders: Sequence[Path]) -> list[Benchmark]:
    """Read benchmarks; each is named by its model and by the overrides that the others do not share."""
    contents = [json.loads((folder / JOB).read_text()) for folder in folders]
    shared = set.intersection(*(set(content["overrides"]) for content in contents))
    return [Benchmark(_name(content, shared), content) for content in contents]


def _name(content: dict[str, Any], shared: set[str]) -> str:
    own = [word for word in content["overrides"] if word not in shared and not word.startswith("model=")]
    return " ".join([content["model"], *own])


JOB_COLUMNS: dict[str, Callable[[Benchmark], str]] = {
    "para-\nmeters": lambda job: scientific(job.content["parameters"]),
    "FLOPs per\nevent": lambda job: scientific(job.content["training_flops"]),
    "memory\nadded": lambda job: memory(job.added_memory),
    "training\nevents/s": lambda job: _speed(job.events_per_second("training")[1]),
    "plain\nevents/s": lambda job: _speed(job.events_per_second("plain")[1]),
    "over\nplain": lambda job: signed_percent(job.overhead),
    "infer\nevents/s": lambda job: _speed(job.events_per_second("inference")[1]),
    "epoch": lambda job: f"{_three_digits(job.seconds('epoch')[1])} s",
}


def signed_percent(value: float) -> str:
    """0.0312 -> +3.1%."""
    return f"{100 * value:+.1f}%"


def milliseconds(seconds: float) -> str:
    """0.01234 -> 12.3 ms; from one second 1.2 s."""
    return f"{_three_digits(1000 * seconds)} ms" if seconds < 1 else duration(seconds)


def _three_digits(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _speed(events_per_second: float) -> str:
    """337123 -> 337,000; from one million 1.18 M."""
    return scientific(events_per_second) if events_per_second >= 1e6 else rate(events_per_second)


def scientific(value: float) -> str:
    """2153760 -> 2.15 M; 0 where torch cannot count."""
    for size, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g} {letter}"
    return f"{value:.3g}"


def headline(job: Benchmark) -> str:
    """Return what was measured where and when, in one line."""
    content = job.content
    sizes = f"{content['batch_size']} events a batch, {count(content['train_events'])} an epoch"
    return f"{sizes}, {content['precision']}, {content['device']}, {content['date']}"


def stage_table(job: Benchmark) -> Table:
    """Return medians and quartiles of every stage."""
    rows = []
    for stage, words in STAGES.items():
        (low, middle, high), seconds = job.events_per_second(stage), job.seconds(stage)
        unit = 1.0 if seconds[1] >= 1 else 1000.0
        span = " - ".join(_three_digits(unit * each) for each in (seconds[0], seconds[2]))
        rows.append([words, _speed(middle), f"{_speed(low)} - {_speed(high)}", milliseconds(seconds[1]), span])
    return Table(["", "events/s", "quartiles", "a batch", "quartiles"], rows)


def comparison_table(jobs: Sequence[Benchmark]) -> Table:
    """Return a row for each of several benchmarks."""
    rows = [[job.name, *(write(job) for write in JOB_COLUMNS.values())] for job in jobs]
    return Table(["", *JOB_COLUMNS], rows, "Comparison", narrow=True)


def cost_facts(job: Benchmark) -> list[tuple[str, str]]:
    """Return parameters, operations, memory and the parts of a training step, as names and values."""
    content, parts = job.content, job.step_parts()
    rest = ", ".join(f"{name} {milliseconds(parts[name])}" for name in ("loader", "representation", "rest"))
    flops = [scientific(content[f"{name}_flops"]) for name in ("training", "inference")]
    step, plain, over = milliseconds(parts["step"]), milliseconds(parts["plain"]), signed_percent(job.overhead)
    peak = memory(content["peak_memory_bytes"])
    facts = [
        ("parameters", count(content["parameters"])),
        ("FLOPs per event", f"{flops[0]} (inference {flops[1]})"),
        ("peak memory", f"{peak}, of which {memory(job.added_memory)} since the data were opened"),
        ("a training step", f"{step}, {over} over the plain loop's {plain}: {rest}"),
    ]
    if "events" in content:  # a benchmark of version 0.1 does not say
        facts.append(("the loader", f"the events lie {content['events']}"))
    if content["device_seconds"] is not None:
        busy = float(content["device_seconds"] / job.seconds("training")[1])
        facts.append(("GPU busy", f"{percent(busy)} of a training step"))
    return facts


def job_tables(job: Benchmark) -> Group:
    """Return the tables of one benchmark in 80 columns."""
    facts = TerminalTable.grid(padding=(0, 2))
    for fact in cost_facts(job):
        facts.add_row(*fact)
    return Group(Text(job.name, style="bold"), Text(headline(job)), stage_table(job).terminal(), facts, "")


def stage_rows(jobs: Sequence[Benchmark]) -> Rows:
    """Return every stage of every job, unrounded."""
    header = [f"{name}_{which}" for name in ("events_per_second", "seconds") for which in ("q25", "median", "q75")]
    rows: Rows = [["job", "stage", "blocks", *header]]
    for job in jobs:
        for stage in STAGES:
            blocks = len(job.content["stages"][stage])
            rows.append([job.name, stage, blocks, *job.events_per_second(stage), *job.seconds(stage)])
    return rows


def job_rows(jobs: Sequence[Benchmark]) -> Rows:
    """Return every job in one row, unrounded."""
    keys = ["model", "batch_size", "train_events", "precision", "device", "date", "parameters", "training_flops"]
    keys += ["inference_flops", "memory_before_bytes", "peak_memory_bytes"]
    parts = [f"{name}_seconds_q25" for name in jobs[0].step_parts()]
    rows: Rows = [["job", *keys, *parts, "overhead", "epoch_seconds"]]
    for job in jobs:
        content = [job.content[key] for key in keys]
        rows.append([job.name, *content, *job.step_parts().values(), job.overhead, job.seconds("epoch")[1]])
    return rows
