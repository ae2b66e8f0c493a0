"""The leaderboard: one row per configuration, named by its differences, with mean and spread, for runs in any state."""

import csv
import io
import json
import re
import statistics
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from cdmtrain.errors import InputError
from cdmtrain.report.leaderboard.page import warnings, write_leaderboard
from cdmtrain.report.leaderboard.ranking import Leaderboard, make_leaderboard
from cdmtrain.report.leaderboard.side_by_side import draw_rocs
from cdmtrain.report.leaderboard.tables import leaderboard_tables
from cdmtrain.report.run.curves import draw_rocs as draw_run_rocs
from cdmtrain.runs.find import find_runs
from cdmtrain.runs.read import read_run

MakeRun = Callable[..., Path]


AddRun = Callable[..., Path]


def board_of(tmp_path: Path, **settings: Any) -> Leaderboard:
    return make_leaderboard([tmp_path / "sweep"], **settings)


def shown(board: Leaderboard) -> str:
    stream = io.StringIO()
    Console(file=stream, width=80).print(leaderboard_tables(board))
    return stream.getvalue()


def table(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text().splitlines()))


def test_seeds_make_one_row_with_their_mean_and_sample_deviation(add_run: AddRun, tmp_path: Path) -> None:
    accuracies = {1: 0.81, 2: 0.84, 3: 0.80}
    for seed, accuracy in accuracies.items():
        add_run(seed=seed, accuracy=accuracy)
    (row,) = board_of(tmp_path).rows
    assert row.metric("accuracy").mean == pytest.approx(statistics.fmean(accuracies.values()))
    assert row.metric("accuracy").spread == pytest.approx(statistics.stdev(accuracies.values()))
    assert row.repeats == "3 seeds"


def test_one_run_has_no_spread(add_run: AddRun, tmp_path: Path) -> None:
    add_run()
    (row,) = board_of(tmp_path).rows
    assert row.metric("accuracy").spread is None
    assert "±" not in shown(board_of(tmp_path))


def test_rows_are_ranked_by_validation_and_never_by_test(add_run: AddRun, tmp_path: Path) -> None:
    add_run("cnn", val_cross_entropy=0.4, cross_entropy=0.9, val_accuracy=0.7)
    add_run("dnn", val_cross_entropy=0.5, cross_entropy=0.1, val_accuracy=0.9)
    assert [row.name for row in board_of(tmp_path).rows] == ["cnn", "dnn"]
    assert [row.name for row in board_of(tmp_path, rank="accuracy").rows] == ["dnn", "cnn"]
    with pytest.raises(InputError, match="rank=best is not a metric to rank by; give one of cross_entropy, accuracy"):
        board_of(tmp_path, rank="best")


def test_a_row_is_named_by_typed_settings_and_not_by_those_that_come_with_the_model(
    add_run: AddRun, tmp_path: Path
) -> None:
    for model in ("dnn", "gnn", "cnn"):
        for rate in (0.01, 0.001):
            add_run(model, typed={"optimizer.lr": rate})
    board = board_of(tmp_path)
    assert board.keys == ["model", "optimizer.lr"]
    assert {row.name for row in board.rows} == {
        f"{m}, lr={r}" for m in ("dnn", "gnn", "cnn") for r in ("0.01", "0.001")
    }


def test_rows_that_differ_only_in_settings_nobody_typed_are_named_by_them(add_run: AddRun, tmp_path: Path) -> None:
    add_run("cnn")
    other = add_run("cnn", typed={"optimizer.lr": 0.1})
    content = json.loads((other / "provenance.json").read_text())
    (other / "provenance.json").write_text(json.dumps(content | {"overrides": []}))
    assert {row.name for row in board_of(tmp_path).rows} == {"lr=0.001", "lr=0.1"}


def test_the_folds_of_a_cross_validation_share_one_row(add_run: AddRun, tmp_path: Path) -> None:
    for fold in range(4):
        add_run(typed={"data.split.folds": 5, "data.split.fold": fold})
    (row,) = board_of(tmp_path).rows
    assert row.repeats == "4 of 5 folds"
    for seed in (1, 2):
        add_run(seed=seed, typed={"data.split.folds": 5, "data.split.fold": 4})
    (row,) = board_of(tmp_path).rows
    assert row.repeats == "2 seeds, 5 folds"
    page = write_leaderboard(board_of(tmp_path), tmp_path / "page").read_text()
    assert "sample standard deviation over seeds and folds" in page


def test_every_state_of_a_run_is_shown_with_its_error(add_run: AddRun, tmp_path: Path) -> None:
    now, past = datetime.now(UTC), datetime.now(UTC) - timedelta(hours=1)
    metric = {"name": "val_loss", "value": 0.6543}
    add_run(seed=1)
    add_run(seed=2, finished=False, status={"state": "failed", "error": "the accelerator's memory is full", "epoch": 3})
    add_run(seed=3, finished=False, status={"updated": now.isoformat(), "epoch": 2, "metric": metric})
    add_run(seed=4, finished=False, status={"updated": past.isoformat()})
    add_run(seed=5, finished=False, status={"state": "preempted"})
    (add_run(seed=6, finished=False) / "config.yaml").write_text("a: [")
    board = board_of(tmp_path)
    text = shown(board)
    assert "6 runs: 1 finished, 1 running, 1 preempted, 1 lost, 1 failed, 1 unreadable" in text
    assert "0.6543" in text
    page = write_leaderboard(board, tmp_path / "page").read_text()
    assert "the accelerator&#x27;s memory is full" in page
    assert "config.yaml is not valid YAML" in page
    assert {row["state"] for row in table(tmp_path / "page/leaderboard/runs.csv")} >= {"lost", "failed", "running"}
    assert "1 seed (1 of 5 runs)" in page


def test_a_configuration_without_a_finished_run_comes_last_and_unranked(add_run: AddRun, tmp_path: Path) -> None:
    add_run("cnn", finished=False)
    add_run("gnn")
    write_leaderboard(board_of(tmp_path), tmp_path / "page")
    rows = table(tmp_path / "page/leaderboard.csv")
    assert [(row["rank"], row["model"]) for row in rows] == [("1", "gnn"), ("", "cnn")]


def test_the_files_hold_the_numbers_and_the_page_asks_for_nothing(add_run: AddRun, tmp_path: Path) -> None:
    for model in ("dnn", "cnn"):
        for seed in (1, 2):
            for events in (100, 1000):
                add_run(model, seed=seed, typed={"data.train_events": events}, accuracy=0.7 + seed / 10)
    page = write_leaderboard(board_of(tmp_path), tmp_path / "sweep").read_text()
    assert not re.search(r"https?://|//cdn|url\(|@import|<script|<link|<iframe", page)
    drawn = {path.stem for path in (tmp_path / "sweep/leaderboard").glob("*.png")}
    assert {"accuracy_parameters", "accuracy_train_seconds", "accuracy_peak_memory_bytes"} <= drawn
    assert {"events_accuracy", "roc_muon", "roc_electron_photon", "confusions", "losses"} <= drawn
    assert page.count("<img") == len(drawn)
    row = table(tmp_path / "sweep/leaderboard.csv")[0]
    assert float(row["accuracy_mean"]) == pytest.approx(0.85)
    assert float(row["accuracy_spread"]) == pytest.approx(statistics.stdev([0.8, 0.9]))
    markdown = (tmp_path / "sweep/leaderboard.md").read_text()
    assert "0.8500 ± 0.0707" in markdown
    assert "0.8500 ± 0.0707" in page


def test_the_same_curve_is_drawn_for_a_run_as_on_its_own_page(add_run: AddRun, tmp_path: Path) -> None:
    run, _ = add_run("dnn"), add_run("cnn")
    alone = draw_run_rocs(read_run(run))[0]
    beside = next(drawing for drawing in draw_rocs(board_of(tmp_path)) if drawing.name == "roc_muon")
    points = [row[1:] for row in alone.rows if row[0] == "muon"]
    assert len(points) >= 3
    assert [row[1:] for row in beside.rows if row[0] == "dnn"] == points


def test_the_page_warns_of_different_test_events_and_machines(add_run: AddRun, tmp_path: Path) -> None:
    add_run("dnn")
    other = add_run("cnn")
    assert list(warnings(board_of(tmp_path))) == []
    content = json.loads((other / "provenance.json").read_text()) | {"host": "node13"}
    content["data"]["sources"] = [content["data"]["sources"][0] | {"fingerprint": "b"}]
    (other / "provenance.json").write_text(json.dumps(content))
    events, machines = warnings(board_of(tmp_path))
    assert "tested on 2 different sets of events" in events
    assert "different machines (node12 x86_64 processor, node13 x86_64 processor)" in machines


def test_text_from_the_files_is_never_markup(add_run: AddRun, tmp_path: Path) -> None:
    hostile = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>|"
    add_run("cnn", typed={"optimizer.lr": hostile})
    add_run("dnn", finished=False, status={"state": hostile, "error": hostile, "epoch": hostile})
    page = write_leaderboard(board_of(tmp_path), tmp_path / "page").read_text()
    assert "<script" not in page
    assert "<img src=x" not in page


def test_runs_are_found_at_any_depth_by_pattern_and_once(add_run: AddRun, tmp_path: Path) -> None:
    runs = [add_run("dnn"), add_run("cnn")]
    assert sorted(find_runs([tmp_path])) == sorted(find_runs([tmp_path / "sw*", *runs])) == sorted(runs)
    assert find_runs([tmp_path / "sweep/*dnn*"]) == [runs[0]]
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="there is no run in it"):
        make_leaderboard([tmp_path / "empty"])
    with pytest.raises(InputError, match="is not a directory"):
        make_leaderboard([tmp_path / "nowhere"])


def test_the_terminal_shows_it_in_80_columns_and_in_ascii(add_run: AddRun, tmp_path: Path) -> None:
    for seed in (1, 2):
        for model in ("dnn", "cnn", "gnn"):
            add_run(model, seed=seed, typed={"optimizer.lr": 0.00123456, "data.train_events": 1000})
    assert max(map(len, shown(board_of(tmp_path)).splitlines())) <= 80
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    Console(file=stream, width=80).print(leaderboard_tables(board_of(tmp_path), plus_minus="+-"))
    stream.flush()
    assert b"+-" in stream.buffer.getvalue()  # type: ignore[attr-defined]


def test_the_leaderboard_needs_neither_torch_nor_lightning() -> None:
    heavy = "[name for name in ('torch', 'lightning') if name in sys.modules]"
    code = f"import sys, cdmtrain.tasks.report; sys.exit(str({heavy} or ''))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.strip() == ""
