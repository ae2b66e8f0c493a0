"""What the page of a run consists of, for the tests."""

import csv
import json
from pathlib import Path
from typing import Any

from cdmtrain.report.run.page import write_report

TRAINING = {"loss", "accuracy", "confusion_history"}


TEST = {
    "confusion_counts",
    "confusion_normalised",
    "roc",
    "electron_photon_roc",
    "calibration",
    "efficiency_lit_pixels",
    "efficiency_deposited_energy",
    "efficiency_kinetic_energy",
    "efficiency_vertex_to_edge",
    "failures_lit_pixels",
    "failures_mean_pixel",
    "failures_softmax_score",
    "mistakes",
    "mistakes_explained",
    "rejection",
    "cuts",
    "scores",
}


def figures(run_dir: Path) -> set[str]:
    return {path.stem for path in (run_dir / "report").glob("*.png")}


def table_of(run_dir: Path, name: str) -> list[dict[str, str]]:
    return list(csv.DictReader((run_dir / f"report/{name}.csv").read_text().splitlines()))


def page_of(run_dir: Path) -> str:
    return write_report(run_dir).read_text(encoding="utf-8")


def change_json(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes), encoding="utf-8")
