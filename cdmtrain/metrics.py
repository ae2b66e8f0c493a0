"""The figures of merit, all by torchmetrics, the same for every architecture and every part of the data."""

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
    """Everything a run says of one part of the data, from logits and class indices.

    accuracy, macro_f1 (mean over the classes that occur), cross_entropy (nats an event, of the logits, whatever the
    loss), calibration_error (expected, 15 bins, L1: Guo 2017, arXiv:1706.04599), efficiency (recall) and purity
    (precision) of each class, roc_auc of each class against the rest, electron_photon_auc (electrons against photons
    alone, by the difference of their logits), confusion_matrix (counts, rows are truth). A figure that a part cannot
    have, because a class is absent, is NaN.
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
        logits = logits.detach().to(
            torch.float32 if logits.device.type == "mps" else torch.float64
        )  # Metal has no double
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
        score = nn.functional.softsign(difference[either]) / 2 + 0.5  # from 0 to 1; a sigmoid is 1 from 37 on
        self.electron_photon_auc.update(score, (class_index[either] == ELECTRON.class_index).int())

    def compute(self) -> dict[str, Any]:
        """The figures as plain numbers, per-class ones as {particle name: number}."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torchmetrics warns of absent classes, which are NaN here
            return self._figures()

    def _figures(self) -> dict[str, Any]:
        counts = self.confusion_matrix.compute()
        truth, predicted, total = counts.sum(1), counts.sum(0), counts.sum()
        found: dict[str, Any] = {
            name: float(getattr(self, name).compute()) if total else torch.nan
            for name in ("accuracy", "macro_f1", "cross_entropy", "calibration_error")
        }
        defined = {"efficiency": truth > 0, "purity": predicted > 0, "roc_auc": (truth > 0) & (truth < total)}
        for name, known in defined.items():
            values = getattr(self, name).compute() if known.any() else counts.new_zeros(NUM_CLASSES, dtype=torch.float)
            found[name] = dict(zip(NAMES, values.masked_fill(~known, torch.nan).tolist(), strict=True))
        both = truth[ELECTRON.class_index] and truth[PHOTON.class_index]
        found["electron_photon_auc"] = float(self.electron_photon_auc.compute()) if both else torch.nan
        found["confusion_matrix"] = counts.tolist()
        return found

    def reset(self) -> None:
        for metric in self.children():
            metric.reset()  # type: ignore[operator]


def scalars(figures: dict[str, Any]) -> dict[str, float]:
    """The figures as one flat dictionary of numbers, for a logger: roc_auc of electrons is `roc_auc_electron`."""
    flat: dict[str, float] = {}
    for name, value in figures.items():
        if isinstance(value, dict):
            flat.update({f"{name}_{particle}": number for particle, number in value.items()})
        elif isinstance(value, float):
            flat[name] = value
    return flat
