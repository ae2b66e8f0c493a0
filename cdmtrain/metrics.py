"""The metrics of a network, computed by torchmetrics."""

import warnings
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torchmetrics import MeanMetric
from torchmetrics.classification import (
    BinaryAUROC,
    MulticlassAccuracy,
    MulticlassAUROC,
    MulticlassCalibrationError,
    MulticlassConfusionMatrix,
    MulticlassF1Score,
    MulticlassPrecision,
    MulticlassRecall,
)

from cdmtrain.particles import ELECTRON, NAMES, NUM_CLASSES, PHOTON

CALIBRATION_BINS = 15


class ClassificationMetrics(nn.Module):
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

    Shapes: logits (events, classes), class_index (events).
    """

    def __init__(self) -> None:
        super().__init__()
        self.accuracy = MulticlassAccuracy(NUM_CLASSES, average="micro")
        self.macro_f1 = MulticlassF1Score(NUM_CLASSES, average="macro")
        self.cross_entropy = MeanMetric()
        self.calibration_error = MulticlassCalibrationError(NUM_CLASSES, n_bins=CALIBRATION_BINS, norm="l1")
        self.efficiency = MulticlassRecall(NUM_CLASSES, average="none")
        self.purity = MulticlassPrecision(NUM_CLASSES, average="none")
        self.roc_auc = MulticlassAUROC(NUM_CLASSES, average="none")
        self.electron_photon_auc = BinaryAUROC()
        self.confusion_matrix = MulticlassConfusionMatrix(NUM_CLASSES)

    def update(self, logits: Float[Tensor, "event class"], class_index: Int[Tensor, " event"]) -> None:
        precision = torch.float32 if logits.device.type == "mps" else torch.float64  # Metal has no float64
        logits = logits.detach().to(precision)
        probability = logits.softmax(1)
        self.cross_entropy.update(nn.functional.cross_entropy(logits, class_index, reduction="none"))
        for name in (
            "accuracy",
            "macro_f1",
            "efficiency",
            "purity",
            "roc_auc",
            "calibration_error",
            "confusion_matrix",
        ):
            getattr(self, name).update(probability, class_index)
        either = (class_index == ELECTRON.class_index) | (class_index == PHOTON.class_index)
        difference = logits[:, ELECTRON.class_index] - logits[:, PHOTON.class_index]
        score = nn.functional.softsign(difference[either]) / 2 + 0.5  # a sigmoid would round to 1 from 37 on
        self.electron_photon_auc.update(score, (class_index[either] == ELECTRON.class_index).int())

    def compute(self) -> dict[str, Any]:
        """Return plain numbers, {particle name: number} for metrics of a class, lists for the confusion matrix."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torchmetrics warns of absent classes, which are NaN here
            return self._compute()

    def _compute(self) -> dict[str, Any]:
        counts = self.confusion_matrix.compute()
        truth, predicted, total = counts.sum(1), counts.sum(0), counts.sum()
        metrics: dict[str, Any] = {
            name: float(getattr(self, name).compute()) if total else torch.nan
            for name in ("accuracy", "macro_f1", "cross_entropy", "calibration_error")
        }
        defined = {"efficiency": truth > 0, "purity": predicted > 0, "roc_auc": (truth > 0) & (truth < total)}
        for name, known in defined.items():
            values = getattr(self, name).compute() if known.any() else counts.new_zeros(NUM_CLASSES, dtype=torch.float)
            metrics[name] = dict(zip(NAMES, values.masked_fill(~known, torch.nan).tolist(), strict=True))
        both = truth[ELECTRON.class_index] and truth[PHOTON.class_index]
        metrics["electron_photon_auc"] = float(self.electron_photon_auc.compute()) if both else torch.nan
        metrics["confusion_matrix"] = counts.tolist()
        return metrics

    def reset(self) -> None:
        for metric in self.children():
            metric.reset()  # type: ignore[operator]


def scalars(metrics: dict[str, Any]) -> dict[str, float]:
    """Flatten metrics for a logger: roc_auc of electrons becomes `roc_auc_electron`; the matrix is left out."""
    flat: dict[str, float] = {}
    for name, value in metrics.items():
        if isinstance(value, dict):
            flat.update({f"{name}_{particle}": number for particle, number in value.items()})
        elif isinstance(value, float):
            flat[name] = value
    return flat
