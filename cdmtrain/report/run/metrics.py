"""The tables of a run, as quoted from results.json: shared by the page, the terminal and the csv files."""

from collections.abc import Callable
from typing import Any, NamedTuple

from cdmtrain.particles import NAMES
from cdmtrain.report.kit import numbers
from cdmtrain.report.kit.drawing import Rows


class Quantity(NamedTuple):
    """A figure of results.json with its name in words."""

    key: str
    title: str
    write: Callable[[Any], str]


OVERALL = (
    Quantity("accuracy", "accuracy", numbers.fraction),
    Quantity("macro_f1", "macro F1", numbers.fraction),
    Quantity("cross_entropy", "cross entropy", numbers.fraction),
    Quantity("electron_photon_auc", "electron-photon area", numbers.fraction),
    Quantity("calibration_error", "calibration error", numbers.fraction),
)
PER_CLASS = (
    Quantity("efficiency", "efficiency", numbers.fraction),
    Quantity("purity", "purity", numbers.fraction),
    Quantity("roc_auc", "ROC area", numbers.fraction),
)
COST = (
    Quantity("parameters", "parameters", numbers.count),
    Quantity("events_per_second", "training events/s", numbers.rate),
    Quantity("train_seconds", "training time", numbers.duration),
    Quantity("peak_memory_bytes", "peak memory", numbers.memory),
    Quantity("epochs", "epochs", numbers.count),
    Quantity("best_epoch", "best epoch", numbers.count),
)


def of_class(results: dict[str, Any], key: str, name: str) -> Any:
    """Return a per-class figure, None where it is absent."""
    return (results.get(key) or {}).get(name)


def num_true_events(results: dict[str, Any]) -> dict[str, int | None]:
    """Return the test events of each particle: the row sums of the confusion matrix."""
    counts = results.get("confusion_matrix")
    return {name: sum(counts[row]) if counts else None for row, name in enumerate(NAMES)}


def overall_rows(results: dict[str, Any]) -> Rows:
    """Return quantity, test, validation as numbers; the cost has no validation."""
    rows: Rows = [["quantity", "test", "validation"]]
    rows += [[quantity.key, results.get(quantity.key), results.get(f"val_{quantity.key}")] for quantity in OVERALL]
    return rows + [[quantity.key, results.get(quantity.key), None] for quantity in COST]


def class_rows(results: dict[str, Any]) -> Rows:
    """Return efficiency, purity and ROC area of each particle as numbers, test and validation."""
    keys = [prefix + quantity.key for quantity in PER_CLASS for prefix in ("", "val_")]
    events = num_true_events(results)
    header = ["particle", "test_events", *keys]
    return [header, *([name, events[name], *(of_class(results, key, name) for key in keys)] for name in NAMES)]
