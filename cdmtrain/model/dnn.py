"""Dense network on the flattened image: the lecture's first architecture.

Notable choices:
- it knows nothing of images: with all pixels permuted it would learn as well;
- from hits it computes the first layer with the lit pixels alone, which is the same function.
"""

from itertools import pairwise
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor, nn

from cdmtrain.batch import Hits, Image
from cdmtrain.layers.activation import make_activation
from cdmtrain.layers.pixel_linear import PixelLinear, flatten


class DNN(nn.Module):
    """Hidden layers of equal width: h_0 = x, h_i = s(W_i h_{i-1} + b_i) with an activation s, logits = W h_depth + b.

    Args:
        image_size: rows and columns S of an image.
        width: units of a hidden layer.
        depth: number of hidden layers; 0 is a perceptron.
        activation: relu, gelu, silu, tanh or sigmoid.
        dropout: probability that a hidden unit is set to zero in training (arXiv:1207.0580).
        num_event_features: features of an event as the representation gives them, beside the pixels in x.
        num_classes: number of logits C.

    Shapes: Image (B, 1, S, S), or its Hits -> (B, C).
    """

    ignores: ClassVar = ("features",)

    def __init__(
        self,
        *,
        image_size: int,
        width: int,
        depth: int,
        activation: str = "relu",
        dropout: float = 0.0,
        num_event_features: int = 0,
        num_classes: int = 4,
    ) -> None:
        super().__init__()
        widths = [width] * depth + [num_classes]
        first = PixelLinear(image_size=image_size, out_features=widths[0], num_event_features=num_event_features)
        layers: list[nn.Module] = [first]
        for inputs, outputs in pairwise(widths):
            hidden = nn.Sequential(make_activation(activation), nn.Dropout(dropout))
            layers += [hidden, nn.Linear(inputs, outputs)]
        self.layers = nn.Sequential(*layers)

    def forward(self, pixels: Image | Hits) -> Float[Tensor, "event class"]:
        return self.layers(pixels)

    def embed(self, pixels: Image | Hits) -> Float[Tensor, "event feature"]:
        """The features of an event, from which the last layer computes its logits: x itself without hidden layers."""
        return self.layers[:-1](pixels) if len(self.layers) > 1 else flatten(pixels)
