"""Fill in what is hidden of an event (masked autoencoder, He 2021, arXiv:2111.06377), for sparse images.

Differences from the paper: the network is any that gives features of hits; patches without a lit pixel are neither
hidden nor shown, since they are most of the image; the decoder is no transformer, but one sparse convolution; and it is
asked for dark patches beside the event too, as it would otherwise know that what is asked for is lit.
"""

from collections.abc import Callable
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from cdmtrain.batch import EventBatch
from cdmtrain.errors import InputError
from cdmtrain.learner import Augmentation
from cdmtrain.pretraining.features import features_of_hits
from cdmtrain.pretraining.patches import Patches, hide_patches

REFERENCE_MEV = 0.1  # of the logarithm of energies
REACH = 3  # patches in each direction that the decoder looks for something visible
FIRST_LOGIT = -3.0  # of a pixel to be lit, before anything is learned: one in twenty is

Encode = Callable[[EventBatch], Float[Tensor, "row feature"]]


class Masked(nn.Module):
    """Predict which pixels of hidden patches are lit, and with how much energy.

    The network sees the hits that are not hidden and nothing else. A decoder is asked for the hidden patches and for
    the dark ones beside the event, without being told which is which. The loss, for each hidden lit pixel, is

        [sum over the pixels asked for of the binary cross entropy of being lit
         + w sum over the hidden lit pixels of (prediction - ln(1 + E / 0.1 MeV))^2] / hidden lit pixels

    Args:
        patch: rows and columns of a patch, in pixels.
        share: of the lit patches of an event that are hidden.
        energy_weight: w.
        width: of the decoder.
        num_features: features of a hit as the network gives them.

    Shapes: EventBatch -> {loss, occupancy_loss, energy_loss}, one number each.
    """

    encode: ClassVar = staticmethod(features_of_hits)

    def __init__(self, *, patch: int, share: float, energy_weight: float, width: int, num_features: int) -> None:
        super().__init__()
        if not isinstance(patch, int) or patch < 1:
            raise InputError(f"objective.patch={patch}: at least 1 pixel is expected")
        if not 0 < share < 1:
            raise InputError(f"objective.share={share}: a number between 0 and 1 is expected")
        if not energy_weight >= 0:
            raise InputError(f"objective.energy_weight={energy_weight}: a number from 0 on is expected")
        self.patch = patch
        self.share = share
        self.energy_weight = energy_weight
        self.decoder = Decoder(patch=patch, width=width, num_features=num_features)

    def forward(
        self, encode: Encode, batch: EventBatch, generator: torch.Generator, augmentation: Augmentation | None
    ) -> dict[str, Tensor]:
        """The losses of a batch, changed at random first in training if there is an augmentation."""
        if augmentation is not None and self.training:
            batch = augmentation(batch, generator)
        patches = hide_patches(batch, self.patch, self.share, generator)
        asked = patches.asked()
        lit, energy = self.predict(encode, batch, patches, asked)
        place = torch.searchsorted(asked, patches.of_hit[patches.hides]) * self.patch**2 + patches.place[patches.hides]
        truth = torch.zeros_like(lit).view(-1).index_fill_(0, place, 1)
        number = max(len(place), 1)
        occupancy = nn.functional.binary_cross_entropy_with_logits(lit.flatten(), truth, reduction="sum") / number
        expected = torch.log1p(batch.energy[patches.hides] / REFERENCE_MEV)
        squares = (energy.flatten().index_select(0, place) - expected).square().sum() / number
        return {
            "loss": occupancy + self.energy_weight * squares,
            "occupancy_loss": occupancy.detach(),
            "energy_loss": squares.detach(),
        }

    def predict(
        self, encode: Encode, batch: EventBatch, patches: Patches, asked: Int[Tensor, " asked"]
    ) -> tuple[Float[Tensor, "asked pixel"], Float[Tensor, "asked pixel"]]:
        """For each pixel of the patches asked for the logit of being lit, and ln(1 + E / 0.1 MeV) if it is."""
        seen = ~patches.hides
        features = encode(batch.mask_hits(seen))
        return self.decoder(features, patches.of_hit[seen], patches.place[seen], patches.grid, asked)

    @staticmethod
    def summarize(representation: nn.Module, model: nn.Module, batch: EventBatch) -> Float[Tensor, "event feature"]:
        """The features of whole events: mean and maximum of those of their hits; zeros without a hit."""
        features = features_of_hits(representation, model, batch)
        event = batch.event.unsqueeze(1).expand_as(features)
        shape = (batch.num_events, features.shape[1])
        mean = features.new_zeros(shape).scatter_reduce(0, event, features, "mean", include_self=False)
        largest = features.new_zeros(shape).scatter_reduce(0, event, features, "amax", include_self=False)
        return torch.cat([mean, largest], dim=1)


class Decoder(nn.Module):
    """From the features of the visible hits to the pixels of any patch.

    Each hit's features and its place in its patch enter a linear layer with GELU; the mean over the hits of a patch is
    what is known of it. Every patch passes that on to the 7 x 7 patches around it, by a linear layer for each of the 49
    directions, and two layers turn the sum that arrives at a patch into its pixels: a convolution of the coarse image
    of patches, computed only where something is asked for.

    Args:
        patch: rows and columns p of a patch.
        width: numbers that describe a patch.
        num_features: of a hit.
    """

    def __init__(self, *, patch: int, width: int, num_features: int) -> None:
        super().__init__()
        self.hits = nn.Linear(num_features, width)
        self.place = nn.Embedding(patch**2, width)
        self.around = nn.Linear(width, (2 * REACH + 1) ** 2 * width, bias=False)
        self.hidden = nn.Linear(width, width)
        self.pixels = nn.Linear(width, 2 * patch**2)
        self.activation = nn.GELU()
        nn.init.constant_(self.pixels.bias[: patch**2], FIRST_LOGIT)

    def forward(
        self,
        features: Float[Tensor, "hit feature"],
        of_hit: Int[Tensor, " hit"],
        place: Int[Tensor, " hit"],
        grid: tuple[int, int, int],
        asked: Int[Tensor, " asked"],
    ) -> tuple[Float[Tensor, "asked pixel"], Float[Tensor, "asked pixel"]]:
        """Logits and logarithms of energies of the patches asked for.

        Args:
            features: of the visible hits.
            of_hit, place: number of the patch of each hit, and its place in it, as in Patches.
            grid: events, rows and columns of patches.
            asked: numbers of patches, ascending.
        """
        hits = self.activation(self.hits(features) + self.place(place))
        seen, index, number = torch.unique(of_hit, return_inverse=True, return_counts=True)
        known = hits.new_zeros(len(seen), hits.shape[1]).index_add(0, index, hits) / number.unsqueeze(1)
        source, target = _pairs_around(seen, asked, grid)
        passed = self.around(known).view(-1, hits.shape[1]).index_select(0, source)
        arrived = passed.new_zeros(len(asked), passed.shape[1]).index_add(0, target, passed)
        rows = self.activation(self.hidden(self.activation(arrived)))
        lit, energy = self.pixels(rows).float().chunk(2, dim=1)
        return lit, energy


def _pairs_around(
    seen: Int[Tensor, " seen"], asked: Int[Tensor, " asked"], grid: tuple[int, int, int]
) -> tuple[Int[Tensor, " pair"], Int[Tensor, " pair"]]:
    """Which visible patch reaches which patch that is asked for: (position in `seen`) * 49 + direction, and target."""
    _, side, _ = grid
    span = torch.arange(-REACH, REACH + 1, device=seen.device)
    row = (seen // side % side).view(-1, 1, 1) + span.view(1, -1, 1)
    column = (seen % side).view(-1, 1, 1) + span
    number = (seen // side**2).view(-1, 1, 1) * side**2 + row * side + column
    inside = (row >= 0) & (row < side) & (column >= 0) & (column < side)
    target = torch.searchsorted(asked, number).clamp(max=max(len(asked) - 1, 0))
    if not len(asked):
        return target.new_empty(0), target.new_empty(0)
    source = (inside & (asked[target] == number)).view(-1).nonzero().squeeze(1)
    return source, target.view(-1).index_select(0, source)
