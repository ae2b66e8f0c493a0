"""One linear layer on the flattened image (Rosenblatt, Psychological Review 65 (1958) 386)."""

from jaxtyping import Float
from torch import Tensor, nn

from cdmtrain.batch import Image


class Perceptron(nn.Module):
    """logits = W x + b, with x the flattened image.

    Args:
        image_size: rows and columns S of an image.
        num_classes: number of logits C.

    Shapes: Image (B, 1, S, S) -> (B, C).
    """

    def __init__(self, *, image_size: int, num_classes: int = 4) -> None:
        super().__init__()
        self.linear = nn.Linear(image_size**2, num_classes)

    def forward(self, image: Image) -> Float[Tensor, "event class"]:
        return self.linear(image.energy.flatten(1))
