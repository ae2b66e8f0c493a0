"""Cross entropy of logits, with smoothed labels and weights of the classes on request."""

from collections.abc import Sequence

import torch
from torch import nn

from cdmtrain.errors import InputError
from cdmtrain.particles import NAMES, NUM_CLASSES


class CrossEntropy(nn.CrossEntropyLoss):
    """- sum_i w_c(i) log softmax(logits_i)_c(i) / sum_i w_c(i), with c(i) the class of event i.

    The weights move between devices with the loss and are in its checkpoints, as a plain tensor. The metric
    `cross_entropy` of a run has neither weights nor smoothing, so that it compares runs.

    Args:
        label_smoothing: epsilon: the truth counts 1 - epsilon and every class epsilon / 4 more (arXiv:1512.00567).
        class_weights: w of electron, muon, photon and proton, or None: all alike.
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
