"""The tables of a benchmark and of a comparison: on the terminal, on the page, as CSV."""

from collections.abc import Callable, Sequence

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from cdmtrain.report.benchmark.timings import STAGES, Benchmark
from cdmtrain.report.kit.drawing import Rows
from cdmtrain.report.kit.numbers import count, duration, memory, percent, rate

STAGE_HEADER = ["", "events/s", "quartiles", "a batch", "quartiles"]
JOB_COLUMNS: dict[str, Callable[[Benchmark], str]] = {
    "para-\nmeters": lambda job: scientific(job.content["parameters"]),
    "FLOPs of\nan event": lambda job: scientific(job.content["training_flops"]),
    "memory\nadded": lambda job: memory(added_memory(job)),
    "training\nevents/s": lambda job: _speed(job.events_per_second("training")[1]),
    "plain\nevents/s": lambda job: _speed(job.events_per_second("plain")[1]),
    "over\nplain": lambda job: signed_percent(job.overhead),
    "infer\nevents/s": lambda job: _speed(job.events_per_second("inference")[1]),
    "epoch": lambda job: f"{_three_digits(job.seconds('epoch')[1])} s",
}


def added_memory(job: Benchmark) -> int:
    """The peak beyond what the process, with its libraries, held before it opened the data."""
    return max(job.content["peak_memory_bytes"] - job.content["memory_before_bytes"], 0)


def signed_percent(value: float) -> str:
    """0.0312 -> +3.1%."""
    return f"{100 * value:+.1f}%"


def milliseconds(seconds: float) -> str:
    """0.01234 -> 12.3 ms; from a second on 1.2 s."""
    return f"{_three_digits(1000 * seconds)} ms" if seconds < 1 else duration(seconds)


def _three_digits(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _speed(events_per_second: float) -> str:
    """337123 -> 337,000; from a million on 1.18 M."""
    return scientific(events_per_second) if events_per_second >= 1e6 else rate(events_per_second)


def scientific(value: float) -> str:
    """2153760 -> 2.15 M; 0 is what torch does not count."""
    for size, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g} {letter}"
    return f"{value:.3g}"


def headline(job: Benchmark) -> str:
    """What was measured where and when, in one line."""
    content = job.content
    return (
        f"{content['batch_size']} events a batch, {count(content['train_events'])} an epoch, {content['precision']}, "
        f"{content['device']}, {content['date']}"
    )


def stage_cells(job: Benchmark) -> list[list[str]]:
    """A row for each stage, in the order of STAGE_HEADER."""
    rows = []
    for stage, words in STAGES.items():
        (low, middle, high), seconds = job.events_per_second(stage), job.seconds(stage)
        unit = 1.0 if seconds[1] >= 1 else 1000.0
        span = " - ".join(_three_digits(unit * each) for each in (seconds[0], seconds[2]))
        rows.append([words, _speed(middle), f"{_speed(low)} - {_speed(high)}", milliseconds(seconds[1]), span])
    return rows


def cost_cells(job: Benchmark) -> list[tuple[str, str]]:
    """What there is to say of a job apart from its stages, as names and values."""
    content, parts = job.content, job.step_parts()
    shares = ", ".join(f"{name} {milliseconds(parts[name])}" for name in ("loader", "representation", "rest"))
    pairs = [
        ("parameters", count(content["parameters"])),
        ("FLOPs of an event", f"{scientific(content['training_flops'])} (inference "
         f"{scientific(content['inference_flops'])})"),
        ("peak memory", f"{memory(content['peak_memory_bytes'])} (added to what was held before the data: "
         f"{memory(added_memory(job))})"),
        ("a training step", f"{milliseconds(parts['step'])}, {signed_percent(job.overhead)} over the plain loop's "
         f"{milliseconds(parts['plain'])}: {shares}"),
    ]  # fmt: skip
    if content["device_seconds"] is not None:
        pairs.append(("GPU busy", f"{percent(job.busy_share)} of a training step"))
    return pairs


def stage_table(job: Benchmark) -> Group:
    """One benchmark, in 80 columns."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0), pad_edge=False)
    for number, title in enumerate(STAGE_HEADER):
        table.add_column(title, justify="right" if number else "left", no_wrap=True)
    for cells in stage_cells(job):
        table.add_row(*cells)
    facts = Table.grid(padding=(0, 2))
    for name, value in cost_cells(job):
        facts.add_row(name, value)
    return Group(Text(job.name, style="bold"), Text(headline(job)), "", table, facts, "")


def comparison_table(jobs: Sequence[Benchmark]) -> Group:
    """Several benchmarks, a row each."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("", justify="left", overflow="fold", min_width=10)
    for title in JOB_COLUMNS:
        table.add_column(title, justify="right")
    for job in jobs:
        table.add_row(job.name, *(write(job) for write in JOB_COLUMNS.values()))
    return Group(Text("Comparison", style="bold"), table, "")


def stage_rows(jobs: Sequence[Benchmark]) -> Rows:
    """Every stage of every job, unrounded."""
    header = [f"{name}_{which}" for name in ("events_per_second", "seconds") for which in ("q25", "median", "q75")]
    rows: Rows = [["job", "stage", "blocks", *header]]
    for job in jobs:
        for stage in STAGES:
            blocks = len(job.content["stages"][stage])
            rows.append([job.name, stage, blocks, *job.events_per_second(stage), *job.seconds(stage)])
    return rows


def job_rows(jobs: Sequence[Benchmark]) -> Rows:
    """Every job in one row, unrounded."""
    keys = ["parameters", "training_flops", "inference_flops", "memory_before_bytes", "peak_memory_bytes"]
    about = ["model", "batch_size", "train_events", "precision", "device", "date"]
    parts = list(jobs[0].step_parts())
    rows: Rows = [["job", *about, *keys, *(f"{name}_seconds_q25" for name in parts), "overhead", "epoch_seconds"]]
    for job in jobs:
        told = [job.content[key] for key in (*about, *keys)]
        rows.append([job.name, *told, *job.step_parts().values(), job.overhead, job.seconds("epoch")[1]])
    return rows
