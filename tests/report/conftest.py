"""A made-up run directory: plausible events from a seed, and the metrics that belong to them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import yaml

from cdmtrain.particles import NAMES

MakeRun = Callable[..., Path]

CONFIG = {
    "seed": 1,
    "run": None,
    "print_config": True,
    "model": {"_target_": "cdmtrain.model.cnn.CNN", "channels": [2, 4, 8], "kernel_size": 2},
    "data": {"_target_": "cdmtrain.data.datamodule.Hdf5Data", "files": ["geant4_reference.h5"], "image_size": 192},
    "optimizer": {"_target_": "torch.optim.Adam", "lr": 0.001},
    "trainer": {"max_epochs": 10, "accelerator": "cpu"},
}
PROVENANCE = {
    "cdmtrain": "0.1.0",
    "versions": {"python": "3.11.9", "torch": "2.8.0", "lightning": "2.6.4", "numpy": "2.4.6"},
    "git": {"commit": "45019cc2d1f04e1b8a3a5d7c9e0f1a2b3c4d5e6f", "dirty": True},
    "host": "node12",
    "accelerator": "cpu",
    "command": "cdmtrain data=hdf5 data.files=[geant4_reference.h5] experiment=lecture_cnn",
    "choices": {"model": "cnn", "data": "hdf5", "experiment": "lecture_cnn"},
    "overrides": ["data=hdf5", "data.files=[geant4_reference.h5]", "experiment=lecture_cnn"],
    "data": {"files": ["geant4_reference.h5"], "events": 47999, "train": 40319, "val": 3840, "test": 3840},
    "changed": {"data": ["simulated", "hdf5"], "experiment": [None, "lecture_cnn"], "model.kernel_size": [3, 2]},
    "started": "2026-01-31T09:26:53+00:00",
}


def write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content), encoding="utf-8")


def make_predictions(rng: np.random.Generator, num_events: int) -> dict[str, np.ndarray]:
    """Return events of a network that mixes up electrons and photons, more so when few pixels are lit."""
    truth = rng.integers(0, 4, num_events)
    lit = rng.gamma(9.0, np.array([12.0, 15.0, 11.0, 8.6])[truth]).astype(np.int32) + 1
    energy = rng.uniform(np.array([45.0, 75.0, 40.0, 130.0])[truth], np.array([98.0, 170.0, 95.0, 250.0])[truth])
    logits = rng.normal(0, 1, (num_events, 4))
    logits[np.arange(num_events), truth] += np.array([0.2, 4.2, 0.2, 5.0])[truth] + lit / 110
    logits[:, [0, 2]] += np.where(np.isin(truth, (0, 2)), 2.0, -1.0)[:, None]
    probability = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return {
        "index": np.arange(num_events),
        "class_index": truth,
        "probability": probability.astype(np.float32),
        "lit_pixels": lit,
        "deposited_energy_mev": energy.astype(np.float32),
        "kinetic_energy_mev": (energy * 1.05).astype(np.float32),
        "vertex_px": rng.uniform(0, 191, (num_events, 2)).astype(np.float32),
    }


def make_mistakes(predictions: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return straight tracks for the first three events of each particle that are classified wrongly."""
    truth, said = predictions["class_index"], predictions["probability"].argmax(axis=1)
    rows = np.concatenate([np.flatnonzero((truth == k) & (said != k))[:3] for k in range(4)]).astype(int)
    hits = np.arange(30) * 193 + 192 * 20
    return {
        **{name: predictions[name][rows] for name in ("index", "class_index", "probability")},
        "pixel": np.tile(hits, len(rows)),
        "energy_mev": np.tile(np.linspace(0.1, 3, 30, dtype=np.float32), len(rows)),
        "contribution": np.tile(np.linspace(-0.5, 1, 30, dtype=np.float32), len(rows)),
        "offset": 30 * np.arange(len(rows) + 1),
    }


def make_results(predictions: dict[str, np.ndarray]) -> dict[str, Any]:
    """Return a results.json whose counts are those of `predictions`; areas and errors are made up but fixed."""
    counts = np.zeros((4, 4), dtype=int)
    np.add.at(counts, (predictions["class_index"], predictions["probability"].argmax(axis=1)), 1)
    by_truth, by_name = counts.sum(axis=1), counts.sum(axis=0)
    efficiency = {n: float(counts[i, i] / by_truth[i]) if by_truth[i] else None for i, n in enumerate(NAMES)}
    purity = {n: float(counts[i, i] / by_name[i]) if by_name[i] else None for i, n in enumerate(NAMES)}
    areas = dict(zip(NAMES, (0.9264, 0.9997, 0.9271, 0.9999), strict=True))
    metrics: dict[str, Any] = {
        "accuracy": float(np.trace(counts) / counts.sum()) if counts.any() else None,
        "macro_f1": 0.8411,
        "cross_entropy": 0.3578,
        "roc_auc": {name: areas[name] if by_truth[i] else None for i, name in enumerate(NAMES)},
        "electron_photon_auc": 0.7834,
        "efficiency": efficiency,
        "purity": purity,
        "calibration_error": 0.0213,
    }
    validation = {f"val_{key}": value for key, value in metrics.items()}
    cost = {"parameters": 18646, "events_per_second": 2764.31, "peak_memory_bytes": 1234567890}
    length = {"train_seconds": 1523.4, "epochs": 10, "best_epoch": 8}
    return {**metrics, "confusion_matrix": counts.tolist(), **cost, **length, **validation}


def make_metrics(epochs: int) -> str:
    """Return metrics.csv: losses fall, validation turns up a little at the end; the confusion matrix improves."""
    cells = [f"val_confusion_{truth}_{name}" for truth in NAMES for name in NAMES]
    lines = [",".join(["epoch,train_loss,val_loss,val_accuracy,lr-Adam,epoch_seconds,events_per_second", *cells])]
    for epoch in range(epochs):
        train, val = 0.30 + 0.5 / (1 + epoch), 0.358 + 0.11 / (1 + epoch) + 0.002 * max(0, epoch - 8) ** 2
        row = f"{epoch},{train:.5f},{val:.5f},{0.86 - 0.1 / (1 + epoch):.5f},0.001,14.2,{2764.3 + epoch:.1f}"
        counts = (np.eye(4, dtype=int) * 20 * epoch + 30).flatten().tolist()
        lines.append(",".join([row, *map(str, counts)]))
    return "\n".join(lines) + "\n"


@pytest.fixture
def make_run(tmp_path: Path) -> MakeRun:
    """Return a function that writes a run directory; `finished=False` leaves one cut after two epochs."""

    def make(
        *,
        name: str = "run",
        num_events: int = 600,
        finished: bool = True,
        change: Callable[..., None] | None = None,
        config: dict[str, Any] = CONFIG,
        provenance: dict[str, Any] = PROVENANCE,
    ) -> Path:
        run_dir = tmp_path / name
        run_dir.mkdir(exist_ok=True, parents=True)
        (run_dir / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
        write_json(run_dir / "provenance.json", provenance)
        state = {"state": "finished" if finished else "interrupted", "epoch": 9 if finished else 1, "error": None}
        write_json(run_dir / "status.json", state)
        (run_dir / "metrics.csv").write_text(make_metrics(10 if finished else 2), encoding="utf-8")
        if finished:
            predictions = make_predictions(np.random.default_rng(7), num_events)
            if change is not None:
                change(predictions)
            write_json(run_dir / "results.json", make_results(predictions))
            with h5py.File(run_dir / "predictions.h5", "w") as file:
                file.update(predictions)
            with h5py.File(run_dir / "mistakes.h5", "w") as file:
                file.update(make_mistakes(predictions))
                file.attrs["image_size"] = 192
        return run_dir

    return make
