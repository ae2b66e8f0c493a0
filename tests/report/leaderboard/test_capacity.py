"""Losses against parameters are drawn for an architecture of several sizes, with the numbers of the runs' own files."""

import csv
from collections.abc import Callable
from pathlib import Path

import pytest

from cdmtrain.report.leaderboard.page import write_leaderboard
from cdmtrain.report.leaderboard.ranking import make_leaderboard

AddRun = Callable[..., Path]


def drawn(tmp_path: Path) -> list[dict[str, str]]:
    write_leaderboard(make_leaderboard([tmp_path / "sweep"]), tmp_path)
    table = tmp_path / "leaderboard/loss_parameters.csv"
    assert (tmp_path / "leaderboard/loss_parameters.png").exists() == table.exists()
    return list(csv.DictReader(table.read_text().splitlines())) if table.exists() else []


def test_an_architecture_of_three_sizes_has_its_losses_in_the_last_epoch(add_run: AddRun, tmp_path: Path) -> None:
    for width in (8, 32, 128):
        for seed in (1, 2):
            run = add_run("dnn", seed=seed, typed={"model.width": width}, parameters=width * 100)
            lines = ["epoch,train_loss,val_loss", "1,1.4,1.3", f"2,{1 / width + seed},{width / 100 + seed}"]
            (run / "metrics.csv").write_text("\n".join(lines) + "\n")
    add_run("cnn", seed=1, parameters=50)
    rows = drawn(tmp_path)
    assert [(row["model"], float(row["parameters"])) for row in rows] == [("dnn", 800), ("dnn", 3200), ("dnn", 12800)]
    assert [float(row["train_loss"]) for row in rows] == pytest.approx([1 / width + 1.5 for width in (8, 32, 128)])
    assert [float(row["val_loss"]) for row in rows] == pytest.approx([width / 100 + 1.5 for width in (8, 32, 128)])


def test_two_sizes_are_no_curve(add_run: AddRun, tmp_path: Path) -> None:
    for width in (8, 32):
        add_run("dnn", typed={"model.width": width}, parameters=width * 100)
    assert drawn(tmp_path) == []
