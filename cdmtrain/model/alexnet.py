"""AlexNet (Krizhevsky, Sutskever and Hinton, NIPS 2012, section 3.5; reprinted as doi:10.1145/3065386).

Notable choices:
- overlapping max pooling, 3 pixels wide and 2 apart, after the first, second and last convolution;
- most parameters are in the first linear layer, which knows where in the image a feature is.

Differences from the paper:
- convolutions are not split into two groups (the paper had two GPUs);
- no local response normalisation, which gains nothing (arXiv:1409.1556, table 3, A against A-LRN);
- dropout acts on the inputs of the two hidden linear layers, not on their outputs;
- weights are initialised as PyTorch does.
"""

from jaxtyping import Float
from torch import Tensor, nn

from cdmtrain.batch import Image
from cdmtrain.layers.activation import make_activation


class AlexNet(nn.Module):
    """Five convolutions, three of them followed by max pooling, then three linear layers.

    Between all of them is an activation, in the paper ReLU. With 3 channels of 227 x 227 pixels and 1000 classes it has
    62 378 344 parameters, and 37 302 980 with one channel of 192 x 192 pixels and four classes.

    Args:
        image_size: rows and columns S of an image, at least 67.
        hidden: units of the two hidden linear layers.
        dropout: probability that an input of a hidden linear layer is set to zero in training.
        activation: relu, gelu, silu, tanh or sigmoid.
        num_channels: channels K of an image.
        num_classes: number of logits C.

    Shapes: Image (B, K, S, S) -> (B, C).
    """

    def __init__(
        self,
        *,
        image_size: int,
        hidden: int,
        dropout: float,
        activation: str = "relu",
        num_channels: int = 1,
        num_classes: int = 4,
    ) -> None:
        super().__init__()
        side = _pooled(_pooled(_pooled((image_size - 11) // 4 + 1)))
        if side < 1:
            raise ValueError(f"image_size={image_size}: AlexNet needs images of at least 67 x 67 pixels")
        self.convolutions = nn.Sequential(
            *(nn.Conv2d(num_channels, 96, 11, stride=4), make_activation(activation), nn.MaxPool2d(3, 2)),
            *(nn.Conv2d(96, 256, 5, padding=2), make_activation(activation), nn.MaxPool2d(3, 2)),
            *(nn.Conv2d(256, 384, 3, padding=1), make_activation(activation)),
            *(nn.Conv2d(384, 384, 3, padding=1), make_activation(activation)),
            *(nn.Conv2d(384, 256, 3, padding=1), make_activation(activation), nn.MaxPool2d(3, 2)),
        )
        self.linear = nn.Sequential(
            *(nn.Dropout(dropout), nn.Linear(256 * side**2, hidden), make_activation(activation)),
            *(nn.Dropout(dropout), nn.Linear(hidden, hidden), make_activation(activation)),
            nn.Linear(hidden, num_classes),
        )

    def forward(self, image: Image) -> Float[Tensor, "event class"]:
        return self.linear[-1](self.embed(image))

    def embed(self, image: Image) -> Float[Tensor, "event feature"]:
        """The features of an event, from which the last layer computes its logits."""
        return self.linear[:-1](self.convolutions(image.energy).flatten(1))


def _pooled(side: int) -> int:
    """The side of an image after max pooling."""
    return (side - 3) // 2 + 1
