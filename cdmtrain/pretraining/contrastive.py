"""Tell an event from others in two views of it: VICReg (Bardes 2021, arXiv:2105.04906).

No event is pushed away from another one, so that batches may be small; features are kept from collapsing by their
variance and covariance over the batch instead.

Difference from the paper: the projector has two layers, not three, and is normalised over the features of each event,
not over the batch, so that a last batch of one event trains too.
"""

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from cdmtrain.batch import EventBatch
from cdmtrain.errors import InputError
from cdmtrain.learner import Augmentation
from cdmtrain.pretraining.features import features_of_events
from cdmtrain.pretraining.masked import Encode

EPSILON = 1e-4  # of a variance, as in the paper


class Contrastive(nn.Module):
    """Features of two views of an event shall agree, vary from event to event, and be uncorrelated (eq. 1 to 6).

    The two views are drawn by the augmentation, one after the other, in validation too. Their features z and z', after
    a projector of two layers, give

        loss = l mean |z - z'|^2 / D + m [v(z) + v(z')] + n [c(z) + c(z')]
        v(z) = mean over the D features of max(0, 1 - sqrt(variance + 1e-4))
        c(z) = sum of the squared covariances of different features / D

    with variances and covariances over the events of the batch.

    Args:
        invariance, variance, covariance: l, m and n; 25, 25 and 1 in the paper.
        width: features D of the projector.
        num_features: features of an event as the network gives them.

    Shapes: EventBatch -> {loss, invariance_loss, variance_loss, covariance_loss}, one number each.
    """

    encode: ClassVar = staticmethod(features_of_events)
    summarize: ClassVar = staticmethod(features_of_events)

    def __init__(self, *, invariance: float, variance: float, covariance: float, width: int, num_features: int) -> None:
        super().__init__()
        weights = {"invariance": invariance, "variance": variance, "covariance": covariance}
        for name, value in weights.items():
            if not value >= 0:
                raise InputError(f"objective.{name}={value}: a number from 0 on is expected")
        self.weights = weights
        self.projector = nn.Sequential(
            nn.Linear(num_features, width), nn.LayerNorm(width), nn.ReLU(), nn.Linear(width, width, bias=False)
        )

    def forward(
        self, encode: Encode, batch: EventBatch, generator: torch.Generator, augmentation: Augmentation | None
    ) -> dict[str, Tensor]:
        """The losses of a batch.

        Raises:
            InputError: without an augmentation, since two views would be the same.
        """
        if augmentation is None:
            raise InputError(
                "objective=contrastive compares two views of an event, and augmentation=none makes them the same; "
                "leave it out, or choose augmentation=[symmetries,shifts]"
            )
        one, other = (self.projector(encode(augmentation(batch, generator))) for _ in range(2))
        parts = {
            "invariance": nn.functional.mse_loss(one, other),
            "variance": _variance_loss(one) + _variance_loss(other),
            "covariance": _covariance_loss(one) + _covariance_loss(other),
        }
        loss = sum((self.weights[name] * value for name, value in parts.items()), torch.zeros_like(one[0, 0]))
        return {"loss": loss} | {f"{name}_loss": value.detach() for name, value in parts.items()}


def _variance_loss(z: Float[Tensor, "event feature"]) -> Float[Tensor, ""]:
    return (1 - (z.var(0, correction=min(1, len(z) - 1)) + EPSILON).sqrt()).relu().mean()


def _covariance_loss(z: Float[Tensor, "event feature"]) -> Float[Tensor, ""]:
    centred = z - z.mean(0)
    covariance = centred.T @ centred / max(len(z) - 1, 1)
    return (covariance.square().sum() - covariance.diagonal().square().sum()) / z.shape[1]
