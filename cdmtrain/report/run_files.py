"""The files of a run directory, read: whatever there is of them."""

import csv
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import yaml
from numpy.typing import NDArray

from cdmtrain.errors import InputError
from cdmtrain.particles import NUM_CLASSES

EXPECTED_FILES = ("config.yaml", "provenance.json", "status.json", "metrics.csv", "results.json", "predictions.h5")


@dataclass(frozen=True)
class Predictions:
    """What the network said about the test events whose particle is known; N of them."""

    class_index: NDArray[np.int64]  # (N,) truth, 0..3
    probability: NDArray[np.float64]  # (N, 4) softmax, finite
    lit_pixels: NDArray[np.int64]  # (N,)
    deposited_energy_mev: NDArray[np.float64]  # (N,)
    kinetic_energy_mev: NDArray[np.float64] | None  # (N,), where the file knew it
    vertex_px: NDArray[np.float64] | None = None  # (N, 2) row and column, where the file knew it

    @property
    def is_right(self) -> NDArray[np.bool_]:
        """(N,) whether the most probable class is the true one."""
        return np.asarray(self.probability.argmax(axis=1) == self.class_index)


@dataclass(frozen=True)
class Mistakes:
    """The most confident mistakes of each particle, M in all, as the network saw them."""

    index: NDArray[np.int64]  # (M,) number of the event in its file
    class_index: NDArray[np.int64]  # (M,) truth, 0..3
    probability: NDArray[np.float64]  # (M, 4)
    images: NDArray[np.float32]  # (M, S, S) MeV


@dataclass(frozen=True)
class RunFiles:
    """A run as its files tell it; a file that is not there is empty."""

    directory: Path
    config: dict[str, Any]
    provenance: dict[str, Any]
    status: dict[str, Any]
    results: dict[str, Any]
    history: dict[str, NDArray[np.float64]]  # metrics.csv: column -> (epoch,), NaN where the field is blank
    predictions: Predictions | None
    missing: tuple[str, ...]  # names out of EXPECTED_FILES
    mistakes: Mistakes | None = None


def read_run(run_dir: Path, *, with_predictions: bool = True) -> RunFiles:
    """Read what `run_dir` holds; the predictions, which are many numbers, only when wanted."""
    if not run_dir.is_dir():
        raise InputError(f"{run_dir} is not a directory; give the directory of a run, one that holds a config.yaml")
    return RunFiles(
        directory=run_dir,
        config=_read_mapping(run_dir / "config.yaml"),
        provenance=_read_mapping(run_dir / "provenance.json"),
        status=_read_mapping(run_dir / "status.json"),
        results=_read_mapping(run_dir / "results.json"),
        history=_read_history(run_dir / "metrics.csv"),
        predictions=_read_predictions(run_dir / "predictions.h5") if with_predictions else None,
        missing=tuple(name for name in EXPECTED_FILES if not (run_dir / name).is_file()),
        mistakes=_read_mistakes(run_dir / "mistakes.h5") if with_predictions else None,
    )


def _read_mapping(path: Path) -> dict[str, Any]:
    """Return the mapping in a JSON or YAML file, empty when there is no file."""
    if not path.is_file():
        return {}
    try:
        text = path.read_text(encoding="utf-8")
        content = yaml.load(text, yaml.CSafeLoader) if path.suffix == ".yaml" else json.loads(text)
    except (ValueError, yaml.YAMLError) as error:
        raise InputError(f"{path} cannot be read as {path.suffix[1:]}; restore the file or remove it") from error
    if content is not None and not isinstance(content, dict):
        raise InputError(f"{path} holds a {type(content).__name__}, expected a mapping; restore the file or remove it")
    return content or {}


def _read_history(path: Path) -> dict[str, NDArray[np.float64]]:
    """Return the columns of metrics.csv that are numbers."""
    if not path.is_file():
        return {}
    with path.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    columns = [name for name in (rows[0] if rows else {}) if name]
    return {name: np.array([_number(row[name]) for row in rows]) for name in columns}


def _number(field: str | None) -> float:
    try:
        return float(field or "nan")
    except ValueError:
        return float("nan")


def _read_predictions(path: Path) -> Predictions | None:
    """Return the events with a known particle and finite probabilities."""
    if not path.is_file():
        return None
    try:
        with h5py.File(path) as file:
            columns = {name: np.asarray(file[name]) for name in file}
        truth, probability = columns["class_index"], columns["probability"].reshape(-1, NUM_CLASSES).astype(np.float64)
        use = (truth >= 0) & np.isfinite(probability).all(axis=1)
        kinetic, vertex = columns.get("kinetic_energy_mev"), columns.get("vertex_px")
        return Predictions(
            class_index=truth[use].astype(np.int64),
            probability=probability[use],
            lit_pixels=columns["lit_pixels"][use].astype(np.int64),
            deposited_energy_mev=columns["deposited_energy_mev"][use].astype(np.float64),
            kinetic_energy_mev=None if kinetic is None else kinetic[use].astype(np.float64),
            vertex_px=None if vertex is None else vertex[use].astype(np.float64),
        )
    except (OSError, KeyError, ValueError, IndexError) as error:
        raise InputError(f"{path} is not a whole file of predictions ({error}); predict again or remove it") from error


def _read_mistakes(path: Path) -> Mistakes | None:
    """Return the mistakes with dense images; None where there is no file, as of older runs, or no mistake."""
    if not path.is_file():
        return None
    try:
        with h5py.File(path) as file:
            columns, size = {name: np.asarray(file[name]) for name in file}, int(file.attrs["image_size"])
        num_events = len(columns["index"])
        images = np.zeros((num_events, size * size), np.float32)
        event = np.repeat(np.arange(num_events), np.diff(columns["offset"]))
        images[event, columns["pixel"]] = columns["energy_mev"]
    except (OSError, KeyError, ValueError, IndexError) as error:
        raise InputError(f"{path} is not a whole file of mistakes ({error}); predict again or remove it") from error
    if not num_events:
        return None
    return Mistakes(
        index=columns["index"].astype(np.int64),
        class_index=columns["class_index"].astype(np.int64),
        probability=columns["probability"].astype(np.float64),
        images=images.reshape(num_events, size, size),
    )
