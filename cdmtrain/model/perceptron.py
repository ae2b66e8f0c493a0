"""One linear layer on the flattened image (Rosenblatt, Psychological Review 65 (1958) 386).

Notable choice: each pixel contributes to the logits by itself, so no combination of pixels can be learned.

Differences from the paper: there are four outputs, without a threshold, and they are trained by gradients of a loss.
"""

from typing import ClassVar

from jaxtyping import Float
from torch import Tensor, nn

from cdmtrain.batch import Hits, Image
from cdmtrain.layers.pixel_linear import PixelLinear, flatten


class Perceptron(nn.Module):
    """logits = W x + b, with x the flattened image.

    Args:
        image_size: rows and columns S of an image.
        num_event_features: features of an event as the representation gives them, beside the pixels in x.
        num_classes: number of logits C.

    Shapes: Image (B, 1, S, S), or its Hits -> (B, C).
    """

    ignores: ClassVar = ("features",)

    def __init__(self, *, image_size: int, num_event_features: int = 0, num_classes: int = 4) -> None:
        super().__init__()
        self.linear = PixelLinear(
            image_size=image_size, out_features=num_classes, num_event_features=num_event_features
        )

    def forward(self, pixels: Image | Hits) -> Float[Tensor, "event class"]:
        return self.linear(pixels)

    def embed(self, pixels: Image | Hits) -> Float[Tensor, "event feature"]:
        """The features of an event, from which the last layer computes its logits: x itself."""
        return flatten(pixels)
