"""A run's page is self-contained, agrees with results.json and exists for every kind of run."""

import base64
import json
import re
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from shutil import copytree

import h5py
import numpy as np
import pytest

from cdmtrain.particles import NAMES
from cdmtrain.report.run.page import write_report
from tests.report.run.pages import TEST, TRAINING, change_json, figures, page_of, table_of

MakeRun = Callable[..., Path]


def test_the_page_loads_nothing_and_has_every_figure_with_a_text_alternative(make_run: MakeRun) -> None:
    run_dir = make_run()
    page = page_of(run_dir)
    without_pictures = re.sub(r"base64,[^\"]*", "", page)  # which may spell anything
    assert not re.search(r"https?://|//cdn|url\(|@import|<script|<link|<iframe", without_pictures)
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
    explained = table_of(run_dir, "mistakes_explained")
    assert [row["truth"] for row in explained] == [name for name in NAMES for _ in range(3 * 30)]
    assert [row["answer"] for row in explained[::30]] == [row["called"] for row in rows]
    assert [float(row["contribution"]) for row in explained[:30:29]] == [-0.5, 1]


def test_the_page_shows_the_confusion_matrix_of_every_epoch_and_since_when_the_network_overfits(
    make_run: MakeRun,
) -> None:
    run_dir = make_run()
    assert "Overfitting since" not in page_of(run_dir)
    rows = table_of(run_dir, "confusion_history")
    assert [row["epoch"] for row in rows] == [str(epoch) for epoch in range(10) for _ in NAMES]
    assert rows[-1] == {
        "epoch": "9",
        "truth": "proton",
        "electron": "30",
        "muon": "30",
        "photon": "30",
        "proton": "210",
    }

    losses = [(epoch, 1 / epoch, 0.5 + epoch / 10) for epoch in range(1, 6)]
    lines = ["epoch,train_loss,val_loss", *(",".join(map(str, row)) for row in losses)]
    (run_dir / "metrics.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert "Overfitting since epoch 2: " in page_of(run_dir)


def test_accuracy_of_all_stands_beside_the_efficiencies(make_run: MakeRun) -> None:
    run_dir = make_run(num_events=400)
    write_report(run_dir)
    rows = [row for row in table_of(run_dir, "efficiency_vertex_to_edge") if row["particle"] == "all"]
    right = sum(float(row["efficiency"]) * int(row["events"]) for row in rows)
    accuracy = json.loads((run_dir / "results.json").read_text())["accuracy"]
    assert right == pytest.approx(400 * accuracy)


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


def test_same_files_give_the_same_bytes(make_run: MakeRun, tmp_path: Path) -> None:
    first = make_run(num_events=50)
    second = copytree(first, tmp_path / "copy")
    with ThreadPoolExecutor(2) as threads:
        pages = [page.read_bytes() for page in threads.map(write_report, (first, second))]
    assert pages[0] == pages[1]
    assert sorted(path.name for path in (first / "report").iterdir() if path.name.startswith(".")) == []


def test_report_imports_neither_torch_nor_pyplot() -> None:
    rooms = "cdmtrain.report.run.page, cdmtrain.report.run.tables, cdmtrain.report.kit.event_display"
    heavy = "'torch', 'lightning', 'hydra', 'matplotlib.pyplot'"
    code = f"import sys, {rooms}; sys.exit(str([name for name in ({heavy}) if name in sys.modules] or ''))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.strip() == ""
