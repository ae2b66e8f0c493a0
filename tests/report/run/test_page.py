"""A run's page is self-contained, agrees with results.json and exists for every kind of run."""

import base64
import csv
import json
import re
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from shutil import copytree
from typing import Any

import h5py
import numpy as np
import pytest

from cdmtrain.errors import InputError
from cdmtrain.particles import NAMES
from cdmtrain.report.run.page import write_report

MakeRun = Callable[..., Path]

TRAINING = {"loss", "accuracy"}
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
}


def figures(run_dir: Path) -> set[str]:
    return {path.stem for path in (run_dir / "report").glob("*.png")}


def table_of(run_dir: Path, name: str) -> list[dict[str, str]]:
    return list(csv.DictReader((run_dir / f"report/{name}.csv").read_text().splitlines()))


def page_of(run_dir: Path) -> str:
    return write_report(run_dir).read_text(encoding="utf-8")


def change_json(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes), encoding="utf-8")


def test_the_page_loads_nothing_and_has_every_figure_with_a_text_alternative(make_run: MakeRun) -> None:
    run_dir = make_run()
    page = page_of(run_dir)
    assert not re.search(r"https?://|//cdn|url\(|@import|<script|<link|<iframe", page)
    images = re.findall(r'<img src="data:image/png;base64,([^"]*)" alt="([^"]*)">', page)
    assert page.count("src=") == page.count("<img") == len(images) == len(TRAINING | TEST)
    assert figures(run_dir) == TRAINING | TEST
    files = {path.read_bytes() for path in (run_dir / "report").glob("*.png")}
    assert {base64.b64decode(picture) for picture, _ in images} == files
    assert all(content.startswith(b"\x89PNG") for content in files)
    assert all(len(words) > 30 for _, words in images)
    assert all(len(table_of(run_dir, name)) > 1 for name in TRAINING | TEST)
    assert "there is no" not in page


def test_numbers_of_the_page_and_its_tables_are_those_of_results_json(make_run: MakeRun) -> None:
    run_dir = make_run()
    change_json(run_dir / "results.json", accuracy=0.12345, cross_entropy=1.98764, electron_photon_auc=0.65432)
    change_json(run_dir / "results.json", parameters=67332, events_per_second=1234567.0, train_seconds=7787.0)
    change_json(run_dir / "results.json", roc_auc={"electron": 0.87654, "muon": 0.99, "photon": 0.85, "proton": 1.0})
    page = page_of(run_dir)
    for written in ("0.1235", "1.9876", "0.6543", "67,332", "1,230,000", "2 h 9 min", "0.8765", "1.23 GB"):
        assert f">{written}<" in page
    results = json.loads((run_dir / "results.json").read_text())
    summary = {row["quantity"]: row for row in table_of(run_dir, "summary")}
    assert float(summary["accuracy"]["test"]) == results["accuracy"]
    assert float(summary["macro_f1"]["validation"]) == results["val_macro_f1"]
    particles = table_of(run_dir, "particles")
    assert [float(row["efficiency"]) for row in particles] == list(results["efficiency"].values())


def test_the_page_says_what_differs_from_the_defaults(make_run: MakeRun) -> None:
    run_dir = make_run(finished=False)
    page = page_of(run_dir)
    for written in ("data</th><td>hdf5 (default simulated)", "experiment</th><td>lecture_cnn (default null)"):
        assert written in page
    change_json(run_dir / "provenance.json", changed={})
    assert "Nothing: every option and value is the default." in page_of(run_dir)
    change_json(run_dir / "provenance.json", changed=None)
    assert "What differs from the defaults" not in page_of(run_dir)


def test_the_page_says_where_the_network_fails(make_run: MakeRun) -> None:
    def hopeless_when_small(predictions: dict[str, np.ndarray]) -> None:
        few = predictions["lit_pixels"] < 80
        said = np.where(few, (predictions["class_index"] + 1) % 4, predictions["class_index"])
        predictions["probability"] = np.where(said[:, None] == np.arange(4), 0.91, 0.03).astype(np.float32)

    run_dir = make_run(change=hopeless_when_small)
    page = page_of(run_dir)
    with h5py.File(run_dir / "predictions.h5") as file:
        lit = file["lit_pixels"][:]
    wrong = (lit < 80)[lit <= np.quantile(lit, 0.25)].mean()
    assert f"and {100 * wrong:.1f}% in the lowest quarter by lit pixels." in page
    assert table_of(run_dir, "failures")[0]["wrong, lowest quarter"] == f"{100 * wrong:.1f}%"
    rows = table_of(run_dir, "mistakes")
    assert [row["truth"] for row in rows] == [name for name in NAMES for _ in range(3)]
    assert all(row["called"] != row["truth"] and row["lit_pixels"] == "30" for row in rows)


def test_a_run_without_any_mistake_has_a_page(make_run: MakeRun) -> None:
    def perfect(predictions: dict[str, np.ndarray]) -> None:
        predictions["probability"] = np.eye(4, dtype=np.float32)[predictions["class_index"]]

    run_dir = make_run(change=perfect)
    assert "are classified wrongly" not in page_of(run_dir)
    assert figures(run_dir) == TRAINING | TEST - {"mistakes"}


def test_accuracy_of_all_stands_beside_the_efficiencies(make_run: MakeRun) -> None:
    run_dir = make_run(num_events=400)
    write_report(run_dir)
    rows = [row for row in table_of(run_dir, "efficiency_vertex_to_edge") if row["particle"] == "all"]
    right = sum(float(row["efficiency"]) * int(row["events"]) for row in rows)
    accuracy = json.loads((run_dir / "results.json").read_text())["accuracy"]
    assert right == pytest.approx(400 * accuracy)


def test_a_run_cut_after_two_epochs_has_a_page_that_says_so(make_run: MakeRun) -> None:
    run_dir = make_run(finished=False)
    page = page_of(run_dir)
    assert "state of this run is interrupted after epoch 1: there is no results.json and no predictions.h5" in page
    assert figures(run_dir) == TRAINING
    assert "experiment=lecture_cnn" in page


def test_files_may_be_missing_one_after_the_other(make_run: MakeRun) -> None:
    run_dir = make_run(num_events=40)
    for name in ("predictions.h5", "results.json", "metrics.csv", "provenance.json", "config.yaml", "status.json"):
        (run_dir / name).unlink()
        assert "<h1>" in page_of(run_dir)


def test_predictions_without_results_are_drawn_without_numbers(make_run: MakeRun) -> None:
    run_dir = make_run(num_events=40)
    (run_dir / "results.json").unlink()
    assert "there is no results.json, so" in page_of(run_dir)
    assert figures(run_dir) == TRAINING | TEST - {"confusion_counts", "confusion_normalised"}


def test_an_empty_directory_has_a_page(tmp_path: Path) -> None:
    assert "state of this run is unknown" in page_of(tmp_path)


def test_text_from_the_files_is_never_markup(make_run: MakeRun) -> None:
    run_dir, hostile = make_run(), "\"'><script>alert(1)</script><img src=x onerror=alert(1)>"
    choices = {"model": hostile, "data": hostile, "experiment": hostile}
    counts = {"events": 4, "train": 2, "val": 1, "test": 1}
    source = {"file": hostile, "fingerprint": hostile, "num_events": 4, "num_hits": 40}
    texts = dict.fromkeys(("command", "host", "accelerator", "cdmtrain"), hostile)
    changed, data = {hostile: [hostile, hostile]}, {**counts, "sources": [source]}
    git, versions = {"commit": hostile, "dirty": True}, {hostile: hostile}
    more = {"choices": choices, "changed": changed, "data": data, "git": git, "versions": versions}
    change_json(run_dir / "provenance.json", overrides=[hostile], **more, **texts)
    change_json(run_dir / "status.json", state="failed", error=hostile)
    config = {hostile: {hostile: hostile}, "model": {"_target_": hostile}}
    (run_dir / "config.yaml").write_text(json.dumps(config), encoding="utf-8")
    (run_dir / "metrics.csv").write_text('epoch,val_loss,"<script>"\n0,1.0,2.0\n', encoding="utf-8")
    (run_dir / "predictions.h5").unlink()
    page = page_of(run_dir)
    assert "<script" not in page
    assert "<img src=x" not in page
    assert "&lt;script&gt;alert(1)" in page


def test_an_absent_particle_is_a_dash_and_the_others_are_drawn(make_run: MakeRun) -> None:
    def without_protons(predictions: dict[str, np.ndarray]) -> None:
        predictions["class_index"][predictions["class_index"] == 3] = 1
        predictions["probability"][:, 3] = 0

    run_dir = make_run(change=without_protons)
    row = re.search(r"</span>proton</td>(.*?)</tr>", page_of(run_dir))
    assert row is not None
    assert re.findall(r"<td>(.*?)</td>", row[1]) == ["0", "-", "-", "-"]
    assert figures(run_dir) == TRAINING | TEST


def test_without_electrons_there_is_no_electron_photon_curve(make_run: MakeRun) -> None:
    def without_electrons(predictions: dict[str, np.ndarray]) -> None:
        predictions["class_index"][predictions["class_index"] == 0] = 3

    run_dir = make_run(change=without_electrons)
    write_report(run_dir)
    assert figures(run_dir) == TRAINING | TEST - {"electron_photon_roc"}


def test_a_single_event_has_a_page(make_run: MakeRun) -> None:
    run_dir = make_run(num_events=1)
    assert "Of 1 test event, 100.0% are classified correctly." in page_of(run_dir)
    assert "calibration" in figures(run_dir)


def test_no_test_event_at_all_has_a_page(make_run: MakeRun) -> None:
    run_dir = make_run(num_events=0)
    assert "No test event was classified." in page_of(run_dir)
    assert figures(run_dir) == TRAINING


def test_events_of_unknown_particle_or_without_probability_are_left_out(make_run: MakeRun) -> None:
    run_dir = make_run(num_events=100)
    with h5py.File(run_dir / "predictions.h5", "a") as file:
        file["class_index"][:40] = -1
        file["probability"][40:50] = np.nan
    write_report(run_dir)
    rows = table_of(run_dir, "calibration")
    assert sum(int(row["events"]) for row in rows) == 50


def test_a_diverged_training_has_a_page(make_run: MakeRun) -> None:
    run_dir = make_run(num_events=20)
    (run_dir / "metrics.csv").write_text("epoch,train_loss,val_loss,val_accuracy\n0,nan,nan,nan\n1,inf,,0.25\n")
    change_json(run_dir / "results.json", cross_entropy=float("nan"), best_epoch=None)
    assert "<b>-</b><span>test cross entropy</span>" in page_of(run_dir)


def test_same_files_give_the_same_bytes(make_run: MakeRun, tmp_path: Path) -> None:
    first = make_run(num_events=50)
    second = copytree(first, tmp_path / "copy")
    with ThreadPoolExecutor(2) as threads:
        pages = [page.read_bytes() for page in threads.map(write_report, (first, second))]
    assert pages[0] == pages[1]
    assert sorted(path.name for path in (first / "report").iterdir() if path.name.startswith(".")) == []


def test_damaged_files_end_in_one_sentence_that_names_the_file(make_run: MakeRun, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not a directory"):
        write_report(tmp_path / "nowhere")
    run_dir = make_run(num_events=5)
    (run_dir / "predictions.h5").write_bytes((run_dir / "predictions.h5").read_bytes()[:700])
    with pytest.raises(InputError, match="is damaged"):
        write_report(run_dir)
    (run_dir / "results.json").write_text('{"accuracy": 0.')
    with pytest.raises(InputError, match=r"results\.json is not valid JSON"):
        write_report(run_dir)


def test_report_imports_neither_torch_nor_pyplot() -> None:
    rooms = "cdmtrain.report.run.page, cdmtrain.report.run.tables, cdmtrain.report.kit.event_display"
    heavy = "'torch', 'lightning', 'hydra', 'matplotlib.pyplot'"
    code = f"import sys, {rooms}; sys.exit(str([name for name in ({heavy}) if name in sys.modules] or ''))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.strip() == ""
