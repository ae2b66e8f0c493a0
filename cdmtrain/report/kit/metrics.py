"""The metrics of results.json with their names in words; they are quoted and never computed again."""

from collections.abc import Callable, Collection, Iterable, Mapping
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


PAIR = "_auc"  # how the keys of areas of pairs end, such as electron_photon_auc

ALWAYS = (  # of all events
    Metric("accuracy", "accuracy", numbers.fraction),
    Metric("macro_f1", "macro F1", numbers.fraction),
    Metric("cross_entropy", "cross entropy", numbers.fraction),
    Metric("brier_score", "Brier score", numbers.fraction),
    Metric("calibration_error", "calibration error", numbers.fraction),
)
AFTER = 3  # of them come before the areas of pairs
PER_CLASS = (
    Metric("efficiency", "efficiency", numbers.fraction),
    Metric("purity", "purity", numbers.fraction),
    Metric("roc_auc", "ROC area", numbers.fraction),
)
NOT_PAIRS = {metric.key for metric in PER_CLASS}
COST = (
    Metric("parameters", "parameters", numbers.count),
    Metric("events_per_second", "training events/s", numbers.rate),
    Metric("train_seconds", "training time", numbers.duration),
    Metric("peak_memory_bytes", "peak memory", numbers.memory),
    Metric("epochs", "epochs", numbers.count),
    Metric("best_epoch", "best epoch", numbers.count),
)
WITHOUT_LABELS = (  # of a pretraining
    Metric("loss", "loss", numbers.fraction),
    Metric("probe_accuracy", "linear probe", numbers.fraction),
    Metric("neighbours_accuracy", "nearest neighbours", numbers.fraction),
)
BY_KEY = {metric.key: metric for metric in (*ALWAYS, *COST, *WITHOUT_LABELS)}


def pair_keys(keys: Iterable[str]) -> list[str]:
    """Return the keys of areas of pairs, each once."""
    return list(dict.fromkeys(key for key in keys if key.endswith(PAIR) and key.removeprefix("val_") not in NOT_PAIRS))


def metric_named(key: str) -> Metric:
    """Return the metric of a key of results.json."""
    pair = key.removesuffix(PAIR).replace("_", "-")
    return BY_KEY.get(key) or Metric(key, f"{pair} area", numbers.fraction)


def overall(keys: Iterable[str]) -> list[Metric]:
    """Return the metrics of all events, with the areas of the pairs among the keys of results.json."""
    pairs = [metric_named(key) for key in pair_keys(keys) if not key.startswith("val_")]
    return [*ALWAYS[:AFTER], *pairs, *ALWAYS[AFTER:]]


def headline(keys: Collection[str]) -> dict[str, str]:
    """Return the tiles at the head of a page, key -> words; of the pairs the first."""
    cost = {"parameters": "parameters", "events_per_second": "training events/s", "train_seconds": "training"}
    if "loss" in keys:
        return {"loss": "test loss", **{one.key: one.title for one in WITHOUT_LABELS[1:] if one.key in keys}, **cost}
    pairs = {one.key: one.title for one in overall(keys) if one.key not in BY_KEY}
    return {
        "accuracy": "test accuracy",
        "cross_entropy": "test cross entropy",
        **dict(list(pairs.items())[:1]),
        **cost,
    }
