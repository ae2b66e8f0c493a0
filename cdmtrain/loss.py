"""The losses of logits: cross entropy and focal loss, with optional weights of the classes."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from cdmtrain.errors import InputError
from cdmtrain.particles import Classes, names_of


class CrossEntropy(nn.CrossEntropyLoss):
    """Weighted mean of the cross entropy of events:

    - sum_i w_c(i) log softmax(logits_i)_c(i) / sum_i w_c(i), with c(i) the true class of event i.

    The weights move between devices with the loss and are saved in checkpoints as a plain tensor. The metric
    `cross_entropy` of a run uses neither weights nor smoothing, so that runs can be compared.

    Args:
        label_smoothing: epsilon. The target of the true class is 1 - epsilon, and every class gets epsilon / C on top,
            with C classes (Szegedy 2015, arXiv:1512.00567, sec. 7).
        class_weights: w of each class, in their order; None for equal weights.

    Shapes: logits (events, classes), class indices (events) -> scalar.
    """

    def __init__(self, *, label_smoothing: float = 0.0, class_weights: Sequence[float] | None = None) -> None:
        super().__init__(weight=_as_tensor(class_weights), label_smoothing=label_smoothing)


class Focal(nn.Module):
    """Focal loss (Lin 2017, arXiv:1708.02002, eq. 4 and 5), the weighted mean over the events i of

    - (1 - p_i)^gamma log p_i, with p_i the softmax probability of the true class.

    Events that are classified well count less. With gamma = 0 it is the cross entropy.

    Args:
        gamma: from 0 on; 2 in the paper.
        class_weights: w of each class, as for CrossEntropy; None for equal weights.

    Shapes: logits (events, classes), class indices (events) -> scalar.
    """

    weight: Tensor | None

    def __init__(self, *, gamma: float = 2.0, class_weights: Sequence[float] | None = None) -> None:
        super().__init__()
        if gamma < 0:
            raise InputError(f"loss.gamma={gamma}: a number from 0 on is expected")
        self.gamma = gamma
        self.register_buffer("weight", _as_tensor(class_weights))

    def forward(self, logits: Float[Tensor, "event class"], class_index: Int[Tensor, " event"]) -> Float[Tensor, ""]:
        log_p = logits.log_softmax(1).gather(1, class_index.unsqueeze(1)).squeeze(1)
        weight = torch.ones_like(log_p) if self.weight is None else self.weight[class_index]
        # expm1 keeps the digits of 1 - p where p is nearly 1; a root of 0 would have an infinite gradient
        far = (-torch.expm1(log_p)).clamp(min=torch.finfo(log_p.dtype).tiny)
        return -(weight * far**self.gamma * log_p).sum() / weight.sum()


def check_loss(loss: nn.Module, classes: Classes) -> None:
    """Refuse a loss that does not turn logits and class indices into their mean, by an example of two events.

    Raises:
        InputError: with what the loss says or gives.
    """
    if isinstance(loss, CrossEntropy | Focal) and loss.weight is not None and len(loss.weight) != len(classes):
        names = ", ".join(names_of(classes))
        raise InputError(f"loss.class_weights={loss.weight.tolist()}: {len(classes)} numbers are expected, for {names}")
    try:
        value = loss(torch.zeros(2, len(classes)), torch.tensor([0, 1]))
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        raise InputError(
            f"loss: {type(loss).__name__} does not take logits (event, class) and class indices (event) "
            f"({' '.join(str(error).split())}); use a loss of classes, such as torch.nn.CrossEntropyLoss"
        ) from error
    if not isinstance(value, Tensor) or value.ndim:
        raise InputError(f"loss: {type(loss).__name__} gives no single number; its mean over events is expected")


def _as_tensor(class_weights: Sequence[float] | None) -> Tensor | None:
    if class_weights is None:
        return None
    values = list(class_weights) if isinstance(class_weights, Sequence) else []
    if not values or min(values) < 0 or not sum(values) > 0:
        raise InputError(
            f"loss.class_weights={class_weights}: a number from 0 on for each class is expected, and not all of them 0"
        )
    return torch.tensor(values, dtype=torch.float32)
