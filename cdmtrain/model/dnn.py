"""Dense network on the flattened image: the lecture's first architecture, without any inductive bias for images."""

from jaxtyping import Float
from torch import Tensor, nn

from cdmtrain.batch import Image


class DNN(nn.Module):
    """Hidden layers of equal width with ReLU between: h_0 = x, h_i = ReLU(W_i h_{i-1} + b_i), logits = W h_depth + b.

    Args:
        image_size: rows and columns S of an image.
        width: units of a hidden layer.
        depth: number of hidden layers; 0 is a perceptron.
        num_classes: number of logits C.

    Shapes: Image (B, 1, S, S) -> (B, C).
    """

    def __init__(self, *, image_size: int, width: int, depth: int, num_classes: int = 4) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Flatten()]
        features = image_size**2
        for _ in range(depth):
            layers += [nn.Linear(features, width), nn.ReLU()]
            features = width
        self.layers = nn.Sequential(*layers, nn.Linear(features, num_classes))

    def forward(self, image: Image) -> Float[Tensor, "event class"]:
        return self.layers(image.energy)
