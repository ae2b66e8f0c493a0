"""The cross entropy of logits, with optional class weights and label smoothing."""

from collections.abc import Sequence

import torch
from torch import nn

from cdmtrain.errors import InputError
from cdmtrain.particles import NAMES, NUM_CLASSES


class CrossEntropy(nn.CrossEntropyLoss):
    """Weighted mean of the cross entropy of events:

    - sum_i w_c(i) log softmax(logits_i)_c(i) / sum_i w_c(i), with c(i) the true class of event i.

    The weights move between devices with the loss and are saved in checkpoints as a plain tensor. The metric
    `cross_entropy` of a run uses neither weights nor smoothing, so that runs can be compared.

    Args:
        label_smoothing: epsilon. The target of the true class is 1 - epsilon, and every class gets epsilon / 4 on top
            (Szegedy 2015, arXiv:1512.00567, sec. 7).
        class_weights: w of electron, muon, photon and proton; None for equal weights.

    Shapes: logits (events, 4), class indices (events) -> scalar.
    """

    def __init__(self, *, label_smoothing: float = 0.0, class_weights: Sequence[float] | None = None) -> None:
        if class_weights is not None and not _are_weights(class_weights):
            raise InputError(
                f"loss.class_weights={class_weights}: {NUM_CLASSES} numbers from 0 on are expected, for "
                f"{', '.join(NAMES)}, and not all of them 0"
            )
        weight = None if class_weights is None else torch.tensor(list(class_weights), dtype=torch.float32)
        super().__init__(weight=weight, label_smoothing=label_smoothing)


def _are_weights(values: Sequence[float]) -> bool:
    return isinstance(values, Sequence) and len(values) == NUM_CLASSES and min(values) >= 0 and sum(values) > 0
