"""cdmtrain task=benchmark from the command to its files."""

import csv
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning
import pytest

from cdmtrain import cli
from cdmtrain.model.gnn import GNN
from cdmtrain.report.benchmark.tables import STAGES
from cdmtrain.tasks import benchmark

Benchmark = Callable[..., int]
SMALL = ["data.image_size=16", "data.batch_size=10", "trainer=cpu", "blocks=2", "block_batches=3", "passes=2"]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, challenge_file: Callable[..., Path]) -> Benchmark:
    """Runs `cdmtrain task=benchmark` on 100 small events in an empty directory; returns the exit status."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    file = challenge_file(num_events=100)

    def command(*words: str) -> int:
        data = ["data=hdf5", f"data.files=[{file}]"]
        monkeypatch.setattr(sys, "argv", ["cdmtrain", "task=benchmark", *data, *SMALL, *words])
        return cli.main()

    return command


def only(folder: Path) -> Path:
    (path,) = folder.iterdir()
    return path


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_a_benchmark_leaves_every_stage_with_its_blocks(run: Benchmark, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("model=gnn", "model.width=8", "scheduler=onecycle") == 0
    folder = only(Path("outputs/benchmark"))
    found: dict[str, Any] = json.loads((folder / "benchmark.json").read_text())
    assert set(found["stages"]) == set(STAGES)
    for name, blocks in found["stages"].items():
        assert [len(block["events"]) for block in blocks] == 2 * [1 if name == "epoch" else 3]
        sizes = {events for block in blocks for events in block["events"]}
        assert sizes == {84} if name == "epoch" else 10 in sizes <= {10, 4}  # 4 are left for an epoch's last batch
        assert all(seconds > 0 for block in blocks for seconds in block["seconds"])
    assert found["parameters"] == (8 + 8) + (64 + 8) + (32 + 4)
    assert 0 < found["inference_flops"] < found["training_flops"]
    assert found["peak_memory_bytes"] >= found["memory_before_bytes"] > 0
    assert (found["train_events"], found["batch_size"], found["threads"] > 0) == (84, 10, True)
    assert found["device_seconds"] is None
    assert found["events"] == "in the memory of the host"
    assert json.loads((folder / "provenance.json").read_text())["data"]["train"] == 84
    assert [row["stage"] for row in rows(folder / "stages.csv")] == list(STAGES)
    assert (folder / "throughput.png").read_bytes().startswith(b"\x89PNG")
    assert "training step" in (folder / "index.html").read_text()
    assert [path.name for path in Path("outputs").iterdir() if path.name != "cache"] == ["benchmark"]
    text = capsys.readouterr().out
    assert "over the plain loop's" in text
    assert max(map(len, text.splitlines()[:-1])) <= 120  # an epoch's line is longer than 80


def test_a_benchmark_times_the_loader_that_the_training_uses(run: Benchmark) -> None:
    assert run("model=perceptron", "data.on_device=true", "blocks=1", "passes=1") == 0
    found = json.loads((only(Path("outputs/benchmark")) / "benchmark.json").read_text())
    assert found["events"] == "in the memory of the device, where each batch is gathered"


def test_operations_are_counted_on_the_device_that_trained(run: Benchmark, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []  # the Trainer leaves the network on the CPU when it has trained on a GPU

    def record(owner: Any, name: str) -> None:
        original = getattr(owner, name)

        def recorded(*args: Any, **kwargs: Any) -> Any:
            calls.append(name)
            return original(*args, **kwargs)

        monkeypatch.setattr(owner, name, recorded)

    record(lightning.Trainer, "fit")
    record(GNN, "to")
    record(benchmark, "flops")
    assert run("model=gnn", "model.width=8", "blocks=1", "passes=1") == 0
    assert calls[-3:] == ["fit", "to", "flops"]


def test_a_comparison_ends_with_a_table_of_all_jobs_as_they_ended(
    run: Benchmark, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("-m", "model=perceptron,dnn", "blocks=1", "passes=1", "sweep.dir=compared") == 0
    last = capsys.readouterr().out.split("Comparison")[-1].splitlines()
    names = ["perceptron", "dnn"]
    assert [row["job"] for row in rows(Path("compared/jobs.csv"))] == names
    assert len(rows(Path("compared/stages.csv"))) == 2 * len(STAGES)
    assert [line.split()[0] for line in last if "%" in line] == names
    assert max(map(len, last)) <= 80
    assert all(name in Path("compared/index.html").read_text() for name in names)


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("blocks=0", "blocks=0: at least 1"),
        ("block_batches=-1", "block_batches=-1: at least 1"),
        ("trainer.devices=2", "a benchmark measures one device"),
        ("weights=other", "weights=other: a benchmark measures random weights"),
        ("data.train_events=0", "data.train_events=0: at least 1 event"),
    ],
)
def test_what_cannot_be_measured_is_answered_in_a_sentence(
    run: Benchmark, capsys: pytest.CaptureFixture[str], word: str, sentence: str
) -> None:
    assert run(word) == 1
    assert sentence in capsys.readouterr().err
