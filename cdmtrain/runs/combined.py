"""Several networks and views of an event as one network, with calibrated probabilities."""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from cdmtrain.augmentation.symmetries import transformed
from cdmtrain.batch import EventBatch
from cdmtrain.calibration.scaling import LEAST_LOG
from cdmtrain.runs.calibration import Calibration

NUM_SYMMETRIES = 8  # of the square


class Ensemble(nn.Module):
    """The logarithm of the mean probability of several networks and views.

    p(event) = 1/(R S) sum_r sum_s softmax(network_r(view_s(event))), with S = 1 or 8 views. The output log p takes the
    place of logits: its softmax is p again.

    Args:
        networks: R of them, each maps an EventBatch to logits (event, class).
        symmetries: whether each network sees the eight turned and mirrored views of an event, or the event alone.
    """

    def __init__(self, networks: Sequence[nn.Module], *, symmetries: bool) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)
        self._num_views = NUM_SYMMETRIES if symmetries else 1

    def forward(self, batch: EventBatch) -> Float[Tensor, "event class"]:
        return mean_log(self.members(batch))

    def members(self, batch: EventBatch) -> Float[Tensor, "network event class"]:
        """Return log p of each network, the mean over its views."""
        views = [batch]  # number 0 is the identity
        for number in range(1, self._num_views):
            views.append(transformed(batch, torch.full_like(batch.class_index, number)))
        each = [torch.stack([network(view).log_softmax(1) for view in views]) for network in self.networks]
        return torch.stack([mean_log(log_p) for log_p in each])


def mean_log(log_p: Float[Tensor, "number event class"]) -> Float[Tensor, "event class"]:
    """Return the logarithm of the mean probability."""
    return log_p.logsumexp(0) - math.log(len(log_p))


class Calibrated(nn.Module):
    """The logarithm of the calibrated probabilities of a network: log_softmax(scale * log p + bias).

    Args:
        network: maps an EventBatch to logits (event, class).
        scale, bias: of each class. A bias alone is another mix of particles.
    """

    scale: Tensor
    bias: Tensor

    def __init__(self, network: nn.Module, scale: Sequence[float], bias: Sequence[float]) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("scale", torch.tensor(scale))
        self.register_buffer("bias", torch.tensor(bias))

    def forward(self, batch: EventBatch) -> Float[Tensor, "event class"]:
        return self.calibrate(self.network(batch))

    def calibrate(self, logits: Float[Tensor, "event class"]) -> Float[Tensor, "event class"]:
        log_p = logits.log_softmax(1).clamp(min=LEAST_LOG)
        return (self.scale * log_p + self.bias).log_softmax(1)


def with_spread(
    network: nn.Module, batch: EventBatch
) -> tuple[Float[Tensor, "event class"], Float[Tensor, " event"] | None]:
    """Return the logits of a combined network and, of several networks, how far these are apart.

    The spread is the standard deviation over the networks of the probability of the most probable class, before any
    calibration.
    """
    inner = network.network if isinstance(network, Calibrated) else network
    if not isinstance(inner, Ensemble) or len(inner.networks) < 2:
        return network(batch), None
    members = inner.members(batch)
    log_p = mean_log(members)
    spread = members.exp().std(0).gather(1, log_p.argmax(1, keepdim=True)).squeeze(1)
    return network.calibrate(log_p) if isinstance(network, Calibrated) else log_p, spread


def combine_networks(
    networks: Sequence[nn.Module],
    *,
    symmetries: bool = False,
    calibration: Calibration | None = None,
    log_weights: Sequence[float] | None = None,
) -> nn.Module:
    """Return one network for several: their mean probability, also over symmetries and calibrated where that is wanted.

    A single network that nothing is wanted of is returned as it is.

    Args:
        networks: each maps an EventBatch to logits (event, class).
        symmetries: whether the mean is over the eight symmetries too.
        calibration: of the probabilities.
        log_weights: of each class, added to the logarithm of its calibrated probability: another mix of particles.
    """
    alone = len(networks) == 1 and not symmetries
    network = networks[0] if alone else Ensemble(networks, symmetries=symmetries)
    if calibration is None and log_weights is None:
        return network
    weights = log_weights or [0.0] * len(calibration.bias if calibration else ())
    if calibration is None:
        return Calibrated(network, [1.0] * len(weights), weights)
    return Calibrated(network, calibration.scale, [sum(pair) for pair in zip(calibration.bias, weights, strict=True)])
