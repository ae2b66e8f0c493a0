"""What task=status tells of runs in every state, from their own files."""

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cdmtrain import cli

Capture = pytest.CaptureFixture[str]


def stamp(seconds: float) -> str:
    """The time so many seconds from now."""
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat(timespec="seconds")


def run(folder: Path, name: str, *, job: str = "", **status: Any) -> Path:
    """A run directory that says this of itself."""
    path = folder / name
    path.mkdir(parents=True)
    (path / "config.yaml").write_text("trainer: {max_epochs: 20}\n")
    empty = {"state": None, "host": "node7", "updated": stamp(-5), "epoch": None, "metric": None, "error": None}
    (path / "status.json").write_text(json.dumps(empty | status))
    if job:
        (path / "submission.json").write_text(json.dumps({"job": job, "log": f"{job}.out"}))
    return path


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    metric = {"name": "val_loss", "value": 0.52}
    run(tmp_path, "cnn", state="finished", epoch=20, metric=metric, job="3_0")
    run(tmp_path, "dnn", state="running", epoch=5, metric=metric, job="3_1", expected_end=stamp(990))
    run(tmp_path, "gnn", state="submitted", job="3_2")
    run(tmp_path, "rnn", state="failed", epoch=1, error="the accelerator's memory is full", job="3_3")
    run(tmp_path, "vit", state="running", epoch=2, updated=stamp(-3600), job="3_4")
    run(tmp_path, "mlp", state="preempted", epoch=7, metric=metric, job="3_5")
    return tmp_path


def status(monkeypatch: pytest.MonkeyPatch, *runs: Path) -> int:
    monkeypatch.setenv("COLUMNS", "160")
    named = f"[{','.join(map(str, runs))}]" if len(runs) > 1 else str(runs[0])
    monkeypatch.setattr(sys, "argv", ["cdmtrain", "task=status", f"runs={named}"])
    return cli.main()


def test_every_run_has_a_line_that_says_where_it_stands(
    sweep: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    assert status(monkeypatch, sweep) == 0
    shown = capsys.readouterr().out
    lines = {words[0]: words[1:] for line in shown.splitlines() if (words := line.split())}
    assert lines["dnn"][:4] == ["running", "5/20", "val_loss", "0.5200"]
    assert " ".join(lines["dnn"][4:6]) == "16 min"
    assert " ".join(lines["dnn"][-4:]) == "on node7, job 3_1"
    assert lines["gnn"] == ["submitted", "-/20", "-", "-", "job", "3_2"]
    assert " ".join(lines["rnn"]) == "failed 1/20 - - the accelerator's memory is full (log: 3_3.out)"
    assert lines["vit"][0] == "lost"
    assert lines["mlp"][:2] == ["preempted", "7/20"]
    assert lines["cnn"][:2] == ["finished", "20/20"]
    assert "6 runs: 1 running, 1 submitted, 1 preempted, 1 lost, 1 failed, 1 finished" in shown
    assert "to continue one: cdmtrain run=DIRECTORY" in shown


def test_brackets_in_an_error_are_no_markup(sweep: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    run(sweep, "lstm", state="failed", error="data.files=[/data/a.h5] cannot be read")
    assert status(monkeypatch, sweep) == 0
    assert "data.files=[/data/a.h5] cannot be read" in capsys.readouterr().out


def test_a_damaged_submission_is_told_beside_the_others(
    sweep: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    (sweep / "cnn/submission.json").write_text("[1]")
    assert status(monkeypatch, sweep) == 0
    assert "1 unreadable" in capsys.readouterr().out


def test_single_runs_can_be_named(sweep: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    assert status(monkeypatch, sweep / "cnn", sweep / "gnn") == 0
    assert "2 runs: 1 submitted, 1 finished" in capsys.readouterr().out


def test_a_broken_file_is_told_beside_the_others(sweep: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    (sweep / "cnn/status.json").write_text("{")
    assert status(monkeypatch, sweep) == 0
    assert "1 unreadable" in capsys.readouterr().out


def test_a_place_without_runs_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    assert status(monkeypatch, tmp_path) == 1
    assert "there is no run in it" in capsys.readouterr().err


def test_nothing_slow_is_imported_for_it(sweep: Path) -> None:
    program = (
        "import sys; from cdmtrain.cli import main\n"
        f"sys.argv[1:] = ['task=status', 'runs={sweep}']\n"
        "assert main() == 0\n"
        "assert not {'torch', 'lightning', 'matplotlib', 'h5py'} & set(sys.modules), set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, timeout=60)


def test_finished_runs_have_a_line_each_also_beside_a_name_of_two_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    for epoch, name in enumerate(("ant", "bee", "two\nlines", "cat"), start=1):
        run(tmp_path, name, state="finished", epoch=epoch)
    assert status(monkeypatch, tmp_path) == 0
    lines = {words[0]: words[1:3] for line in capsys.readouterr().out.splitlines() if (words := line.split())}
    for name, epoch in {"ant": 1, "bee": 2, "cat": 4}.items():
        assert lines[name] == ["finished", f"{epoch}/20"]
