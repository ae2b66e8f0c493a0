"""The metrics of a network, and the mean of a loss, without waiting for the device before the end of an epoch."""

import warnings
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, distributed, nn
from torchmetrics.functional.classification import binary_auroc, multiclass_auroc, multiclass_calibration_error

from cdmtrain.particles import ELECTRON, NAMES, NUM_CLASSES, PHOTON

CALIBRATION_BINS = 15


class RunningMean:
    """The mean of a loss over events and processes.

    Its sum is no buffer of a module: DDP would replace it by that of the first process in every step.
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
    """All metrics of the events of one split, from logits and class indices.

    - accuracy: share of events given their true class.
    - macro_f1: mean of the F1 scores of the classes that are true or predicted for some event.
    - cross_entropy: mean of -log softmax(logits)[truth], in nats, whatever the loss of the training.
    - calibration_error: expected calibration error, 15 bins of confidence, L1 (Guo 2017, arXiv:1706.04599, eq. 3).
    - efficiency: recall of each class; NaN for a class without true events.
    - purity: precision of each class; NaN for a class that is never predicted.
    - roc_auc: area under the ROC curve of each class against all others; NaN if one side has no events.
    - electron_photon_auc: the same area for electrons against photons alone, by the difference of their logits.
    - confusion_matrix: numbers of events; rows are the true classes, columns the predicted ones.
    - undefined_events: number of events whose logits are NaN or infinite, if there are any. They are given no class, so
      they count as wrong and are not in the confusion matrix, and areas and calibration are not defined.

    The logits stay on their device until `compute`, which works on the CPU and includes the events of all processes.

    Shapes: logits (events, classes), class_index (events).
    """

    def __init__(self) -> None:
        self._logits: list[Tensor] = []
        self._class_index: list[Tensor] = []

    def update(self, logits: Float[Tensor, "event class"], class_index: Int[Tensor, " event"]) -> None:
        self._logits.append(logits.detach())
        self._class_index.append(class_index)

    def reset(self) -> None:
        self._logits, self._class_index = [], []

    def compute(self) -> dict[str, Any]:
        """Return plain numbers, {particle name: number} for metrics of a class, lists for the confusion matrix."""
        logits = torch.cat(self._logits or [torch.zeros(0, NUM_CLASSES)]).cpu()
        class_index = torch.cat(self._class_index or [torch.zeros(0, dtype=torch.int64)]).cpu()
        if _is_distributed():
            parts: list[Any] = [None] * distributed.get_world_size()
            distributed.all_gather_object(parts, (logits, class_index))
            logits, class_index = (torch.cat(part) for part in zip(*parts, strict=True))
        with warnings.catch_warnings(action="ignore"):  # torchmetrics warns of absent classes, which are NaN here
            return _metrics(logits.double(), class_index)


def _metrics(logits: Float[Tensor, "event class"], truth: Int[Tensor, " event"]) -> dict[str, Any]:
    probability, predicted, total = logits.softmax(1), logits.argmax(1), len(truth)
    answered = probability.isfinite().all(1)
    pairs = torch.bincount((truth * NUM_CLASSES + predicted)[answered], minlength=NUM_CLASSES**2)
    counts = pairs.view(NUM_CLASSES, NUM_CLASSES)
    right, true, chosen = counts.diag().double(), torch.bincount(truth, minlength=NUM_CLASSES), counts.sum(0)
    f1 = 2 * right / (true + chosen)
    area, calibration_error = torch.zeros(NUM_CLASSES), torch.tensor(torch.nan)
    one_sided = (true == 0) | (true == total)
    if not answered.all():
        area = torch.full_like(area, torch.nan)
    elif not one_sided.all():
        area = multiclass_auroc(probability, truth, NUM_CLASSES, average="none")
    if total and answered.all():
        calibration_error = multiclass_calibration_error(probability, truth, NUM_CLASSES, CALIBRATION_BINS, "l1")
    return {
        "accuracy": float(right.sum() / total) if total else torch.nan,
        "macro_f1": float(f1[true + chosen > 0].mean()),
        "cross_entropy": float(nn.functional.cross_entropy(logits, truth)),
        "calibration_error": float(calibration_error),
        "efficiency": dict(zip(NAMES, (right / true).tolist(), strict=True)),
        "purity": dict(zip(NAMES, (right / chosen).tolist(), strict=True)),
        "roc_auc": dict(zip(NAMES, area.masked_fill(one_sided, torch.nan).tolist(), strict=True)),
        "electron_photon_auc": _electron_photon_auc(logits, truth),
        "confusion_matrix": counts.tolist(),
        **({} if answered.all() else {"undefined_events": total - int(answered.sum())}),
    }


def _electron_photon_auc(logits: Float[Tensor, "event class"], truth: Int[Tensor, " event"]) -> float:
    electron, photon = truth == ELECTRON.class_index, truth == PHOTON.class_index
    if not (electron.any() and photon.any() and logits.softmax(1).isfinite().all()):
        return torch.nan
    either = electron | photon
    difference = (logits[:, ELECTRON.class_index] - logits[:, PHOTON.class_index])[either]
    score = nn.functional.softsign(difference) / 2 + 0.5  # a sigmoid would round to 1 from 37 on
    return float(binary_auroc(score, electron[either].int()))


def _is_distributed() -> bool:
    return distributed.is_available() and distributed.is_initialized()


def scalars(metrics: dict[str, Any]) -> dict[str, float]:
    """Flatten metrics for a logger: roc_auc of electrons becomes `roc_auc_electron`.

    The numbers of electrons classified as electrons, muons ... become `confusion_electron_electron`, ...
    """
    flat: dict[str, float] = {}
    for truth, row in zip(NAMES, metrics["confusion_matrix"], strict=True):
        flat.update({f"confusion_{truth}_{name}": float(number) for name, number in zip(NAMES, row, strict=True)})
    for name, value in metrics.items():
        if isinstance(value, dict):
            flat.update({f"{name}_{particle}": number for particle, number in value.items()})
        elif isinstance(value, float):
            flat[name] = value
    return flat
