"""Dense network on the flattened image: the lecture's first architecture, without any inductive bias for images."""

from itertools import pairwise

from jaxtyping import Float
from torch import Tensor, nn

from cdmtrain.batch import Hits, Image
from cdmtrain.layers import PixelLinear


class DNN(nn.Module):
    """Hidden layers of equal width with ReLU between: h_0 = x, h_i = ReLU(W_i h_{i-1} + b_i), logits = W h_depth + b.

    Args:
        image_size: rows and columns S of an image.
        width: units of a hidden layer.
        depth: number of hidden layers; 0 is a perceptron.
        num_classes: number of logits C.

    Shapes: Image (B, 1, S, S), or its Hits -> (B, C).
    """

    def __init__(self, *, image_size: int, width: int, depth: int, num_classes: int = 4) -> None:
        super().__init__()
        widths = [width] * depth + [num_classes]
        layers: list[nn.Module] = [PixelLinear(image_size=image_size, out_features=widths[0])]
        for inputs, outputs in pairwise(widths):
            layers += [nn.ReLU(), nn.Linear(inputs, outputs)]
        self.layers = nn.Sequential(*layers)

    def forward(self, pixels: Image | Hits) -> Float[Tensor, "event class"]:
        return self.layers(pixels)
