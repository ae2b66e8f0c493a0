"""The metrics of a network, and the mean of a loss, without waiting for the device before the end of an epoch."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, distributed
from torchmetrics.functional.classification import multiclass_confusion_matrix

from cdmtrain.intervals import (
    EQUAL_WIDTH,
    UNCERTAINTY,
    UNDEFINED,
    Figure,
    as_results,
    calibration_error,
    equal_population,
    fraction,
    mean,
    resampled,
    roc_area,
)
from cdmtrain.particles import DEFAULT, Classes, Pair, names_of, read_pairs

RESAMPLINGS = 400

Doubles = Float[np.ndarray, "..."]
Ints = Int[np.ndarray, " event"]
Counts = Int[np.ndarray, "sample class answer"] | Float[np.ndarray, "sample class answer"]
Bools = Bool[np.ndarray, " event"]


class RunningMean:
    """The mean of a loss over events and processes.

    Its sum is no buffer of a module: DDP would replace that by the first process's.
    """

    def __init__(self) -> None:
        self.total = torch.zeros(())  # the sum over the events, on the device of the loss
        self.num_events = 0

    def update(self, mean: Float[Tensor, ""], num_events: int) -> None:
        """Add events whose mean loss is this."""
        self.total = self.total.to(mean.device).add_(mean.detach(), alpha=num_events)
        self.num_events += num_events

    def sums(self) -> tuple[float, int]:
        """The sum and the number of events of all processes."""
        sums = [(float(self.total), self.num_events)]
        if _is_distributed():
            sums *= distributed.get_world_size()
            distributed.all_gather_object(sums, sums[0])
        totals, numbers = zip(*sums, strict=True)
        return sum(totals), sum(numbers)

    def compute(self) -> float:
        """The mean over the events of all processes; NaN without an event."""
        total, num_events = self.sums()
        return total / num_events if num_events else torch.nan

    def reset(self) -> None:
        self.total, self.num_events = torch.zeros((), device=self.total.device), 0


class ClassificationMetrics:
    """All metrics of the events of one split, from logits and class indices, in double precision.

    - accuracy: share of events given their true class.
    - macro_f1: mean of the F1 scores of the classes that are true or predicted for some event.
    - cross_entropy: mean of -log softmax(logits)[truth], in nats, whatever the loss of the training.
    - brier_score: mean of sum_k (p_k - [k is the truth])^2, from 0 to 2 (Brier 1950, Mon. Weather Rev. 78, 1).
    - calibration_error: expected calibration error, 15 bins of confidence, L1 (Guo 2017, arXiv:1706.04599, eq. 3).
    - calibration_error_equal_bins: the same with 15 bins of equally many events; those of equal confidence share one.
    - class_calibration_error: of each class k, the same with the probability p_k of every event in place of the
      confidence, and the share of true k in place of the accuracy (Nixon 2019, arXiv:1904.01685, eq. 3).
    - efficiency: recall of each class; NaN for a class without true events.
    - purity: precision of each class; NaN for a class that is never predicted.
    - roc_auc: area under the ROC curve of each class against all others; NaN if one side has no events.
    - electron_photon_auc, and so for each other pair: the same area for these two alone, by the difference of logits.
    - confusion_matrix: numbers of events; rows are the true classes, columns the predicted ones.
    - undefined_events: number of events whose logits are NaN or infinite, if there are any. They are given no class, so
      they count as wrong and are not in the confusion matrix, and areas and calibration are not defined.
    - uncertainty: {figure: [low, high]}, the 68.3 % interval of each figure above, {class: [low, high]} for those of
      classes. Fractions have Wilson's, areas DeLong's; means have their standard error, calibration errors too, with
      the sign of each bin's gap taken as fixed; macro_f1 has the spread over 400 resampled confusion matrices.

    A ROC curve orders events by log(p / (1 - p)) as it follows from the logits, in their own precision, so that it
    separates events whose probabilities round to 1, and events of equal logits tie.

    The logits stay on their device until `compute`, which works on the CPU and includes the events of all processes.

    Args:
        classes: what the network tells apart.
        pairs: of classes whose area is a figure; None for electron and photon, where both are classes.
        prior: relative numbers of the classes in the mix that the figures are for; None for that of the events.

    Shapes: logits (events, classes), class_index (events), of which those below 0 are left out of every figure.
    """

    def __init__(
        self, classes: Classes = DEFAULT, pairs: Sequence[Pair] | None = None, prior: Doubles | None = None
    ) -> None:
        self._prior = prior
        self._names = names_of(classes)
        self._pairs = read_pairs(None, classes) if pairs is None else tuple(pairs)
        self._logits: list[Tensor] = []
        self._class_index: list[Tensor] = []

    def update(self, logits: Float[Tensor, "event class"], class_index: Int[Tensor, " event"]) -> None:
        self._logits.append(logits.detach())
        self._class_index.append(class_index)

    def reset(self) -> None:
        self._logits, self._class_index = [], []

    def compute(self) -> dict[str, Any]:
        """Return plain numbers, {particle name: number} for metrics of a class, lists for matrix and intervals."""
        logits = torch.cat(self._logits or [torch.zeros(0, len(self._names))]).cpu()
        class_index = torch.cat(self._class_index or [torch.zeros(0, dtype=torch.int64)]).cpu()
        if _is_distributed():
            parts: list[Any] = [None] * distributed.get_world_size()
            distributed.all_gather_object(parts, (logits, class_index))
            logits, class_index = (torch.cat(part) for part in zip(*parts, strict=True))
        known = class_index >= 0
        return _metrics(logits[known], class_index[known], self._names, self._pairs, self._prior)


def _metrics(
    logits: Float[Tensor, "event class"],
    truth: Int[Tensor, " event"],
    names: Sequence[str],
    pairs: Sequence[Pair],
    prior: Doubles | None,
) -> dict[str, Any]:
    answered = logits.isfinite().all(1)
    confusion = multiclass_confusion_matrix(logits.argmax(1)[answered], truth[answered], len(names))
    unanswered = torch.bincount(truth[~answered], minlength=len(names))
    counts = torch.cat([confusion, unanswered[:, None]], dim=1).numpy()
    is_defined = bool(len(truth) and answered.all())
    row_weight = None if prior is None else prior / counts.sum(1).clip(min=1)
    weight = None if row_weight is None else row_weight[truth.numpy()]
    figures = _of_counts(counts, names) | ({} if row_weight is None else _of_mix(counts, row_weight, names))
    figures |= _of_logits(logits.double().numpy(), truth.numpy(), names, pairs, weight, is_defined=is_defined)
    undefined = {} if answered.all() else {"undefined_events": int((~answered).sum())}
    return {**as_results(figures), "confusion_matrix": counts[:, :-1].tolist(), **undefined}


def _of_counts(counts: Int[np.ndarray, "class answer"], names: Sequence[str]) -> dict[str, Figure | dict[str, Figure]]:
    """The figures that follow from the most probable classes: rows are true classes, the last column has no answer."""
    right, true, chosen, total = counts.diagonal(), counts.sum(1), counts.sum(0)[:-1], counts.sum()
    return {
        "accuracy": fraction(right.sum(), total),
        "macro_f1": resampled(_macro_f1(_with_draws(counts))),
        "efficiency": dict(zip(names, map(fraction, right, true), strict=True)),
        "purity": dict(zip(names, map(fraction, right, chosen), strict=True)),
    }


def _of_mix(counts: Int[np.ndarray, "class answer"], weight: Doubles, names: Sequence[str]) -> dict[str, Any]:
    """The figures that depend on the mix of classes, whose events have these weights; errors are by resampling."""
    each = _with_draws(counts) * weight[:, None]
    right = each.diagonal(axis1=1, axis2=2)
    with np.errstate(invalid="ignore"):
        found = {"accuracy": right.sum(1) / each.sum((1, 2)), "macro_f1": _macro_f1(each)}
        purity = (right / each.sum(1)[:, :-1]).T
    figures = {name: resampled(values) for name, values in found.items()}
    return {**figures, "purity": dict(zip(names, map(resampled, purity), strict=True))}


def _with_draws(counts: Int[np.ndarray, "class answer"]) -> Counts:
    """The counts themselves, and as many events drawn from them RESAMPLINGS times."""
    draws = np.random.default_rng(0).multinomial(counts.sum(), counts.ravel() / max(counts.sum(), 1), RESAMPLINGS)
    return np.concatenate([counts[None], draws.reshape(-1, *counts.shape)])


def _macro_f1(counts: Counts) -> Float[np.ndarray, " sample"]:
    """The mean F1 score of the classes that occur, for each sample of counts; NaN without an event."""
    right = counts.diagonal(axis1=1, axis2=2)
    either = counts.sum(2) + counts.sum(1)[:, :-1]
    with np.errstate(invalid="ignore"):
        f1 = np.divide(2 * right, either, out=np.zeros(right.shape), where=either > 0)
        return f1.sum(1) / (either > 0).sum(1)


def _of_logits(
    logits: Doubles,
    truth: Ints,
    names: Sequence[str],
    pairs: Sequence[Pair],
    weight: Doubles | None,
    *,
    is_defined: bool,
) -> dict[str, Figure | dict[str, Figure]]:
    """The figures that follow from the probabilities, undefined where one of them is."""
    classes = range(len(names))
    if not is_defined:
        each = dict.fromkeys(names, UNDEFINED)
        keys = ("cross_entropy", "brier_score", "calibration_error", "calibration_error_equal_bins")
        return {
            **dict.fromkeys(keys, UNDEFINED),
            "class_calibration_error": each,
            "roc_auc": each,
            **{pair.key: UNDEFINED for pair in pairs},
        }
    log_p = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
    probability, is_class = np.exp(log_p), truth[:, None] == np.arange(len(names))
    confidence, is_right = probability.max(1), logits.argmax(1) == truth
    scores = [logits[:, k] - np.logaddexp.reduce(np.delete(logits, k, axis=1), axis=1) for k in classes]
    areas = [roc_area(scores[k].astype(np.float32), is_class[:, k], weight) for k in classes]
    errors = [calibration_error(probability[:, k], is_class[:, k], EQUAL_WIDTH, weight) for k in classes]
    equal = equal_population(confidence)
    return {
        "cross_entropy": mean(-log_p[is_class], weight),
        "brier_score": mean(((probability - is_class) ** 2).sum(1), weight, high=2),
        "calibration_error": calibration_error(confidence, is_right, EQUAL_WIDTH, weight),
        "calibration_error_equal_bins": calibration_error(confidence, is_right, equal, weight),
        "class_calibration_error": dict(zip(names, errors, strict=True)),
        "roc_auc": dict(zip(names, areas, strict=True)),
        **{pair.key: _pair_area(logits, truth, *map(names.index, pair)) for pair in pairs},
    }


def _pair_area(logits: Doubles, truth: Ints, signal: int, background: int) -> Figure:
    in_pair = np.isin(truth, (signal, background))
    score = (logits[:, signal] - logits[:, background])[in_pair]
    return roc_area(score.astype(np.float32), truth[in_pair] == signal)


def _is_distributed() -> bool:
    return distributed.is_available() and distributed.is_initialized()


def scalars(metrics: dict[str, Any]) -> dict[str, float]:
    """Flatten metrics for a logger: roc_auc of electrons becomes `roc_auc_electron`.

    The numbers of electrons classified as electrons, muons ... become `confusion_electron_electron`, ...
    """
    flat: dict[str, float] = {}
    names = list(metrics["efficiency"])
    for truth, row in zip(names, metrics["confusion_matrix"], strict=True):
        flat.update({f"confusion_{truth}_{name}": float(number) for name, number in zip(names, row, strict=True)})
    for name, value in metrics.items():
        if isinstance(value, dict) and name != UNCERTAINTY:
            flat.update({f"{name}_{particle}": number for particle, number in value.items()})
        elif isinstance(value, float):
            flat[name] = value
    return flat
