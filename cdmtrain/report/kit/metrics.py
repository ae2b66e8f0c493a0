"""The metrics of results.json with their names in words; they are quoted and never computed again."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from cdmtrain.report.kit import numbers


class Metric(NamedTuple):
    """A key of results.json, its name in words and the function that writes its value."""

    key: str
    title: str
    write: Callable[[Any], str]

    def text(self, results: Mapping[str, Any], prefix: str = "", particle: str | None = None) -> str:
        """The value as text, of one particle where there is one for each; `prefix` is "val_" for validation."""
        value = results.get(prefix + self.key)
        return self.write(value if particle is None else (value or {}).get(particle))

    def interval(self, results: Mapping[str, Any], prefix: str = "", particle: str | None = None) -> list[float] | None:
        """The 68 % interval, if it was recorded."""
        found = (results.get(f"{prefix}uncertainty") or {}).get(self.key)
        return found if particle is None else (found or {}).get(particle)

    def with_error(self, results: Mapping[str, Any], prefix: str = "", particle: str | None = None) -> str:
        """The value and half of its 68 % interval as text: 0.7013 ±0.0162."""
        error = numbers.half_width(self.interval(results, prefix, particle))
        return f"{self.text(results, prefix, particle)} {error}".rstrip()


OVERALL = (
    Metric("accuracy", "accuracy", numbers.fraction),
    Metric("macro_f1", "macro F1", numbers.fraction),
    Metric("cross_entropy", "cross entropy", numbers.fraction),
    Metric("electron_photon_auc", "electron-photon area", numbers.fraction),
    Metric("brier_score", "Brier score", numbers.fraction),
    Metric("calibration_error", "calibration error", numbers.fraction),
)
PER_CLASS = (
    Metric("efficiency", "efficiency", numbers.fraction),
    Metric("purity", "purity", numbers.fraction),
    Metric("roc_auc", "ROC area", numbers.fraction),
)
COST = (
    Metric("parameters", "parameters", numbers.count),
    Metric("events_per_second", "training events/s", numbers.rate),
    Metric("train_seconds", "training time", numbers.duration),
    Metric("peak_memory_bytes", "peak memory", numbers.memory),
    Metric("epochs", "epochs", numbers.count),
    Metric("best_epoch", "best epoch", numbers.count),
)
HEADLINE = {  # the tiles at the head of a page: key -> words
    "accuracy": "test accuracy",
    "cross_entropy": "test cross entropy",
    "electron_photon_auc": "electron-photon area",
    "parameters": "parameters",
    "events_per_second": "training events/s",
    "train_seconds": "training",
}
BY_KEY = {metric.key: metric for metric in (*OVERALL, *COST)}
