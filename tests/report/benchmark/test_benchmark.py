"""The numbers of a benchmark are those one works out by hand from its times."""

import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from cdmtrain.report.benchmark.page import write_benchmarks
from cdmtrain.report.benchmark.tables import JOB, STAGES, comparison_table, job_tables, read_benchmarks, scientific

SECONDS = {"loader": 0.001, "representation": 0.002, "plain": 0.1, "training": 0.11, "inference": 0.04, "epoch": 12.0}


def job(folder: Path, **changes: Any) -> Path:
    """A benchmark of five blocks of two batches of 100 events, block k being k times as slow as the first."""
    stages = {
        name: [{"events": [100, 100], "seconds": [k * SECONDS[name]] * 2} for k in (5, 3, 1, 2, 4)] for name in STAGES
    }
    content = {
        "model": "cnn",
        "overrides": ["task=benchmark", "model=cnn"],
        "date": "2026-01-02 03:04",
        "device": "a processor, 2 of 2 threads",
        "threads": 2,
        "precision": "32-true",
        "batch_size": 100,
        "train_events": 8400,
        "val_events": 800,
        "parameters": 18618,
        "inference_flops": 1.85e6,
        "training_flops": 4.95e6,
        "device_seconds": None,
        "memory_before_bytes": 400_000_000,
        "peak_memory_bytes": 650_000_000,
        "stages": stages,
    }
    folder.mkdir(parents=True)
    (folder / JOB).write_text(json.dumps(content | changes))
    return folder


def printed(table: Any) -> str:
    console = Console(width=80)
    with console.capture() as capture:
        console.print(table)
    return capture.get()


def test_quartiles_are_over_blocks_and_batches(tmp_path: Path) -> None:
    (found,) = read_benchmarks([job(tmp_path / "a")])
    assert found.events_per_second("plain") == pytest.approx([250, 1000 / 3, 500])
    assert found.seconds("plain") == pytest.approx([0.2, 0.3, 0.4])


def test_the_cost_of_the_program_is_what_a_step_takes_longer(tmp_path: Path) -> None:
    (found,) = read_benchmarks([job(tmp_path / "a")])
    assert found.overhead == pytest.approx(0.10)
    parts = found.step_parts()
    assert parts == pytest.approx({"step": 0.22, "plain": 0.2, "loader": 0.002, "representation": 0.004, "rest": 0.014})
    text = printed(job_tables(found))
    assert "220 ms, +10.0% over the plain loop's 200 ms: loader 2 ms, representation 4 ms, rest 14 ms" in " ".join(
        text.split()
    )
    assert "650 MB, of which 250 MB since the data were opened" in text
    assert max(map(len, text.splitlines())) <= 80


def test_a_gpu_has_the_share_of_a_step_in_which_it_computes(tmp_path: Path) -> None:
    (found,) = read_benchmarks([job(tmp_path / "a", device_seconds=0.066)])
    assert "20.0% of a training step" in printed(job_tables(found))


def test_a_job_is_named_by_what_the_others_do_not_share(tmp_path: Path) -> None:
    shared = ["task=benchmark", "repeats=3"]
    folders = [
        job(tmp_path / "a", overrides=[*shared, "model=cnn", "data.batch_size=50"]),
        job(tmp_path / "b", overrides=[*shared, "model=dnn", "data.batch_size=100"], model="dnn"),
    ]
    jobs = read_benchmarks(folders)
    assert [one.name for one in jobs] == ["cnn data.batch_size=50", "dnn data.batch_size=100"]
    text = printed(comparison_table(jobs).terminal())
    assert [line.split()[0] for line in text.splitlines() if "%" in line] == ["cnn", "dnn"]
    assert all(line.split()[-1] == "s" for line in text.splitlines() if "%" in line)
    assert max(map(len, text.splitlines())) <= 80
    page = write_benchmarks(tmp_path / "page", jobs)
    assert {path.name for path in page.parent.iterdir()} == {
        "index.html",
        "jobs.csv",
        "stages.csv",
        "step.csv",
        "step.png",
        "throughput.csv",
        "throughput.png",
    }


def test_large_numbers_are_short() -> None:
    assert [scientific(value) for value in (0, 512, 18618, 4.95e6, 1.2e12)] == ["0", "512", "18.6 k", "4.95 M", "1.2 T"]
