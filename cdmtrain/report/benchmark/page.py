"""The page of a benchmark or of a comparison: how fast each stage is, and the parts of a training step."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cdmtrain.report.benchmark import tables
from cdmtrain.report.benchmark.tables import STAGES, Benchmark
from cdmtrain.report.kit import markup, style
from cdmtrain.report.kit.numbers import count, duration, rate
from cdmtrain.report.kit.page import Drawing, Rows, figures, write_csv, write_page

STEP_PARTS = {  # -> words and colour
    "plain": ("plain loop", "#c9ced6"),
    "representation": ("representation", "#8e96a3"),
    "loader": ("loader", style.INK),
    "rest": ("the rest", style.BEST),
}


def write_benchmarks(folder: Path, jobs: Sequence[Benchmark]) -> Path:
    """Write index.html, the figures as PNG, stages.csv and jobs.csv into `folder`; return the page's path."""
    write_csv(folder / "stages.csv", tables.stage_rows(jobs))
    write_csv(folder / "jobs.csv", tables.job_rows(jobs))
    return write_page(
        folder / "index.html",
        kind="cdmtrain benchmark",
        title=", ".join(dict.fromkeys(str(job.content["model"]) for job in jobs)),
        head=[_tiles(jobs[0])] if len(jobs) == 1 else [],
        sections={
            "Figures": figures(folder, [_draw_throughput(jobs), _draw_step(jobs)]),
            "Comparison": tables.comparison_table(jobs).html() if len(jobs) > 1 else "",
            **{job.name: _job(job) for job in jobs},
        },
        footer="Medians, with quartiles over blocks (events/s) and over batches (times). A training step is compared "
        "with the plain loop by 25th percentiles, because noise only adds to a time. All times are in benchmark.json, "
        "the tables beside this page as CSV.",
    )


def _tiles(job: Benchmark) -> str:
    return markup.tiles(
        [
            (rate(job.events_per_second("training")[1]), "training events/s"),
            (rate(job.events_per_second("inference")[1]), "inference events/s"),
            (tables.signed_percent(job.overhead), "training step over the plain loop"),
            (duration(job.seconds("epoch")[1]), "for an epoch"),
            (count(job.content["parameters"]), "parameters"),
        ]
    )


def _job(job: Benchmark) -> str:
    facts = markup.facts(tables.cost_facts(job))
    return markup.element("p", tables.headline(job), "soft") + tables.stage_table(job).html() + facts


def _draw_throughput(jobs: Sequence[Benchmark]) -> Drawing:
    """Draw the events per second of every stage of every job."""
    gap = 0.7 if len(jobs) > 1 else 0.0  # between stages
    height = 0.28 * (len(jobs) + gap) * len(STAGES) + 1.0
    figure, axes = style.new_plot("events/s", height_inches=height, left=0.36)
    rows: Rows = [["job", "stage", "q25", "median", "q75"]]
    labels: dict[float, str] = {}
    for number, (stage, job) in enumerate((stage, job) for stage in STAGES for job in jobs):
        (low, middle, high), y = job.events_per_second(stage), number + gap * (number // len(jobs))
        axes.plot([low, high], [y, y], color=style.GREY, linewidth=3, solid_capstyle="butt")
        axes.plot(middle, y, marker="o", color=style.INK, markersize=6)
        above: dict[str, Any] = {"xytext": (0, 5), "textcoords": "offset points", "ha": "center"}
        axes.annotate(rate(middle), (middle, y), **above, fontsize=8, color=style.INK)
        labels[y] = STAGES[stage] if len(jobs) == 1 else f"{STAGES[stage]}: {job.name}"
        rows.append([job.name, stage, low, middle, high])
    axes.set_yticks(list(labels), list(labels.values()))
    axes.set_xscale("log")
    axes.margins(x=0.12)
    axes.set_ylim(max(labels) + 0.6, -0.9)
    caption = (
        "Events per second of each stage alone (dot: median, bar: quartiles); the slowest one limits the training. A "
        "whole epoch includes the validation."
    )
    medians = ", ".join(f"{row[1]} of {row[0]} {rate(row[3])}" for row in rows[1:])
    alternative = f"Events per second: {medians}."
    return Drawing("throughput", "How fast each stage is", caption, alternative, figure, rows)


def _draw_step(jobs: Sequence[Benchmark]) -> Drawing:
    """Draw the parts of a training step as fractions of its time."""
    height = 0.45 * len(jobs) + 1.3
    figure, axes = style.new_plot("fraction of a training step", height_inches=height, left=0.24, top=0.45)
    rows: Rows = [["job", "step_seconds", *STEP_PARTS]]
    for y, job in enumerate(jobs):
        parts, left = job.step_parts(), 0.0
        for name, (words, colour) in STEP_PARTS.items():
            width = max(parts[name], 0.0) / parts["step"]
            axes.barh(y, width, left=left, height=0.6, color=colour, label=None if y else words)
            left += width
        rows.append([job.name, parts["step"], *(parts[name] for name in STEP_PARTS)])
    axes.set_yticks(range(len(jobs)), [f"{job.name}\n{tables.milliseconds(job.step_parts()['step'])}" for job in jobs])
    axes.set_ylim(len(jobs) - 0.4, -0.6)
    style.legend_above(axes)
    caption = (
        "The plain loop on prepared tensors, the representation and the loader are timed alone; the rest of a training "
        "step is Lightning and the callbacks."
    )
    overheads = ", ".join(f"{job.name} {tables.signed_percent(job.overhead)}" for job in jobs)
    alternative = f"Overhead of a training step over the plain loop: {overheads}."
    return Drawing("step", "Parts of a training step", caption, alternative, figure, rows)
