"""A linear layer on the pixels of an image, computed from the lit pixels alone where they are given."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from cdmtrain.batch import Hits, Image
from cdmtrain.errors import InputError


class PixelLinear(nn.Module):
    """x W + b, with x the flattened image followed by the features of the event if there are any.

    From hits (p, e) it is computed as the sum of e W_p over the hits of an event, with W_p the row of pixel p, plus b:
    the other terms are zero. Initialised like nn.Linear; the weight is stored transposed, so that the row of a pixel is
    contiguous in memory.

    Args:
        image_size: rows and columns S of an image.
        out_features: units F.
        num_event_features: features G of an event as the representation gives them; 0 for images.

    Shapes: Image (B, 1, S, S) or Hits of B events -> (B, F); weight (S^2 + G, F), bias (F,).
    """

    def __init__(self, *, image_size: int, out_features: int, num_event_features: int = 0) -> None:
        super().__init__()
        drawn = nn.Linear(image_size**2 + num_event_features, out_features)
        self.weight = nn.Parameter(drawn.weight.detach().t().contiguous())
        self.bias = drawn.bias

    def forward(self, pixels: Image | Hits) -> Float[Tensor, "event feature"]:
        if isinstance(pixels, Image):
            return torch.addmm(self.bias, pixels.energy.flatten(1), self.weight)
        num_event_features = pixels.event_feature.shape[1]
        if pixels.feature.shape[1] > num_event_features:
            raise InputError("this network reads no feature of a hit but its energy; leave out representation/features")
        rows = functional.embedding_bag(
            pixels.pixel,
            self.weight,
            pixels.offset,
            mode="sum",
            per_sample_weights=pixels.energy,
            include_last_offset=True,
        )
        if num_event_features:
            rows = rows + pixels.event_feature @ self.weight[-num_event_features:]
        return rows + self.bias


def flatten(pixels: Image | Hits) -> Float[Tensor, "event feature"]:
    """The flattened images, followed by the features of the events if there are any: the x of `PixelLinear`."""
    if isinstance(pixels, Image):
        return pixels.energy.flatten(1)
    return torch.cat([pixels.image(pixels.energy).flatten(1), pixels.event_feature], dim=1)
