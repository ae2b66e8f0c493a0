"""A linear layer on the pixels of an image, computed from the lit pixels alone where they are given."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from cdmtrain.batch import Hits, Image


class PixelLinear(nn.Module):
    """x W + b with x the flattened image, from dense images or, at a fraction of the cost, from the lit pixels alone.

    Of hits (p, e) it is the sum of e W_p over the hits of an event, with W_p the row of pixel p, plus b: the same
    numbers, as the other terms are zero. It begins with the values that nn.Linear draws; `weight` is that layer's
    transposed, as rows of pixels lie together in memory so.

    Args:
        image_size: rows and columns S of an image.
        out_features: units F.

    Shapes: Image (B, 1, S, S) or Hits of B events -> (B, F); weight (S^2, F), bias (F,).
    """

    def __init__(self, *, image_size: int, out_features: int) -> None:
        super().__init__()
        drawn = nn.Linear(image_size**2, out_features)
        self.weight = nn.Parameter(drawn.weight.detach().t().contiguous())
        self.bias = drawn.bias

    def forward(self, pixels: Image | Hits) -> Float[Tensor, "event feature"]:
        if isinstance(pixels, Image):
            return torch.addmm(self.bias, pixels.energy.flatten(1), self.weight)
        rows = functional.embedding_bag(
            pixels.pixel,
            self.weight,
            pixels.offset,
            mode="sum",
            per_sample_weights=pixels.energy,
            include_last_offset=True,
        )
        return rows + self.bias
