"""The mean of several networks, or of one network over the symmetries of the square."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from cdmtrain.augmentation.symmetries import transformed
from cdmtrain.batch import EventBatch

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
        views = [_view(batch, number) for number in range(self._num_views)]
        probability = [network(view).softmax(1) for view in views for network in self.networks]
        return torch.stack(probability).mean(0).log()


def combine_networks(networks: Sequence[nn.Module], *, symmetries: bool = False) -> nn.Module:
    """Return a single network without symmetries as it is, anything else as an Ensemble."""
    if len(networks) == 1 and not symmetries:
        return networks[0]
    return Ensemble(networks, symmetries=symmetries)


def _view(batch: EventBatch, number: int) -> EventBatch:
    """Apply one symmetry to every event; number 0 is the identity."""
    return transformed(batch, torch.full_like(batch.class_index, number)) if number else batch
