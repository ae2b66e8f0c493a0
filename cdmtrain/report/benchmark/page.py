"""The page of a benchmark or of a comparison: how fast each stage is, where a step's time goes, all tables."""

from collections.abc import Sequence
from pathlib import Path

from cdmtrain.atomic import write_text
from cdmtrain.report.benchmark.tables import (
    JOB_COLUMNS,
    STAGE_HEADER,
    cost_cells,
    headline,
    job_rows,
    milliseconds,
    signed_percent,
    stage_cells,
    stage_rows,
)
from cdmtrain.report.benchmark.timings import STAGES, Benchmark
from cdmtrain.report.kit import markup, style
from cdmtrain.report.kit.drawing import Drawing, Rows, csv_text
from cdmtrain.report.kit.numbers import count, duration, rate
from cdmtrain.report.kit.stylesheet import CSS
from cdmtrain.report.run.page import write_drawing

ROW_INCHES = 0.28
PARTS = {"plain": "plain loop", "representation": "representation", "loader": "loader", "rest": "the rest"}
PART_COLOURS = {"plain": "#c9ced6", "representation": "#8e96a3", "loader": style.INK, "rest": style.BEST}


def write_benchmarks(folder: Path, jobs: Sequence[Benchmark]) -> Path:
    """Write index.html, the figures as PNG, stages.csv and jobs.csv into `folder`; return the page's path."""
    pictures = "".join(write_drawing(folder, drawing) for drawing in (_throughput(jobs), _step(jobs)))
    parts = [_head(jobs), markup.section("Figures", f'<div class="pair">{pictures}</div>')]
    if len(jobs) > 1:
        header = ["", *(title.replace("\n", " ") for title in JOB_COLUMNS)]
        rows = [[job.name, *(write(job) for write in JOB_COLUMNS.values())] for job in jobs]
        parts.append(markup.section("Comparison", markup.table(header, rows)))
    for job in jobs:
        tables = markup.table(STAGE_HEADER, stage_cells(job)) + markup.facts(cost_cells(job))
        parts.append(markup.section(job.name, markup.element("p", headline(job), "soft") + tables))
    write_text(folder / "stages.csv", csv_text(stage_rows(jobs)))
    write_text(folder / "jobs.csv", csv_text(job_rows(jobs)))
    page = folder / "index.html"
    write_text(page, markup.document(_title(jobs), CSS, "\n".join([*parts, _footer()])))
    return page


def _title(jobs: Sequence[Benchmark]) -> str:
    return ", ".join(dict.fromkeys(str(job.content["model"]) for job in jobs))


def _head(jobs: Sequence[Benchmark]) -> str:
    parts = [markup.element("p", "cdmtrain benchmark", "kind"), markup.element("h1", _title(jobs))]
    if len(jobs) == 1:
        (job,) = jobs
        tiles = [
            (rate(job.events_per_second("training")[1]), "training events/s"),
            (rate(job.events_per_second("inference")[1]), "inference events/s"),
            (signed_percent(job.overhead), "step over the plain loop"),
            (duration(job.seconds("epoch")[1]), "an epoch"),
            (count(job.content["parameters"]), "parameters"),
        ]
        parts.append(markup.tiles(tiles))
    return f"<header>{''.join(parts)}</header>"


def _footer() -> str:
    words = (
        "Medians, with quartiles over blocks (events/s) and over batches (times). A step is compared with the plain "
        "loop by 25th percentiles, as noise only adds to a time. All times are in benchmark.json, the tables in CSV."
    )
    return f"<footer>{words}</footer>"


def _throughput(jobs: Sequence[Benchmark]) -> Drawing:
    """Draw events/s of every stage of every job, stage by stage."""
    places = [(stage, job) for stage in STAGES for job in jobs]
    gap = 0.7 if len(jobs) > 1 else 0.0  # between stages
    height = ROW_INCHES * (len(places) + gap * len(STAGES)) + 1.0
    figure = style.new_figure(height_inches=height)
    axes = figure.add_axes((0.36, 0.55 / height, 0.59, 1 - 0.7 / height))
    style.dress(axes)
    labels: list[tuple[float, str]] = []
    rows: Rows = [["job", "stage", "q25", "median", "q75"]]
    for number, (stage, job) in enumerate(places):
        low, middle, high = job.events_per_second(stage)
        y = number + gap * (number // len(jobs))
        axes.plot([low, high], [y, y], color=style.GREY, linewidth=3, solid_capstyle="butt")
        axes.plot(middle, y, marker="o", color=style.INK, markersize=6)
        axes.annotate(
            rate(middle), (middle, y), (0, 5), textcoords="offset points", ha="center", fontsize=8, color=style.INK
        )
        labels.append((y, f"{STAGES[stage]}" if len(jobs) == 1 else f"{STAGES[stage]}: {job.name}"))
        rows.append([job.name, stage, low, middle, high])
    axes.set_yticks([y for y, _ in labels], [words for _, words in labels])
    axes.set_xscale("log")
    axes.margins(x=0.12)
    axes.set_ylim(labels[-1][0] + 0.6, -0.9)
    axes.set_xlabel("events/s", fontsize=style.FONT_SIZE, color=style.INK)
    words = "Medians and quartiles of events per second; the whole epoch counts the validation's time too."
    numbers = ", ".join(f"{row[1]} of {row[0]} {rate(row[3])}" for row in rows[1:])
    return Drawing("throughput", "How fast each stage is", words, f"Events per second: {numbers}.", figure, rows)


def _step(jobs: Sequence[Benchmark]) -> Drawing:
    """Draw where the time of a training step goes, as parts of the step."""
    height = 0.45 * len(jobs) + 1.3
    figure = style.new_figure(height_inches=height)
    axes = figure.add_axes((0.24, 0.55 / height, 0.71, 1 - 1.0 / height))
    style.dress(axes)
    rows: Rows = [["job", "step_seconds", *PARTS]]
    for y, job in enumerate(jobs):
        parts = job.step_parts()
        left = 0.0
        for name, colour in PART_COLOURS.items():
            width = max(parts[name], 0.0) / parts["step"]
            axes.barh(y, width, left=left, height=0.6, color=colour, label=PARTS[name] if y == 0 else None)
            left += width
        rows.append([job.name, parts["step"], *(parts[name] for name in PARTS)])
    labels = [f"{job.name}\n{milliseconds(job.step_parts()['step'])}" for job in jobs]
    axes.set_yticks(range(len(jobs)), labels)
    axes.set_ylim(len(jobs) - 0.4, -0.6)
    axes.set_xlabel("part of a training step", fontsize=style.FONT_SIZE, color=style.INK)
    style.legend_above(axes)
    words = (
        "The plain loop on ready-made tensors, the representation and the loader were timed alone; the rest of the "
        "step is Lightning and the callbacks."
    )
    said = ", ".join(f"{job.name} {signed_percent(job.overhead)}" for job in jobs)
    return Drawing("step", "Where a step's time goes", words, f"A step over the plain loop's: {said}.", figure, rows)
