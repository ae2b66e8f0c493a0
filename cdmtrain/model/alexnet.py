"""AlexNet (Krizhevsky, Sutskever and Hinton 2012, doi:10.1145/3065386, section 3.5): convolutions, then width."""

from jaxtyping import Float
from torch import Tensor, nn

from cdmtrain.batch import Image


class AlexNet(nn.Module):
    """Five convolutions, three of them followed by overlapping max pooling, then three linear layers with dropout.

    The paper's layers without its two departures for hardware and habit: convolutions are not grouped over two cards,
    and there is no local response normalisation, which brings nothing (arXiv:1409.1556, table 3, A against A-LRN).
    With 3 channels of 227 x 227 pixels and 1000 classes it has 62 378 344 parameters; with one channel of 192 x 192
    and four classes 37 302 980.

    Args:
        image_size: rows and columns S of an image, at least 67.
        hidden: units of the two hidden linear layers.
        dropout: probability that an input of a hidden linear layer is dropped while training.
        num_channels: channels K of an image.
        num_classes: number of logits C.

    Shapes: Image (B, K, S, S) -> (B, C).
    """

    def __init__(
        self, *, image_size: int, hidden: int, dropout: float, num_channels: int = 1, num_classes: int = 4
    ) -> None:
        super().__init__()
        side = _pooled(_pooled(_pooled((image_size - 11) // 4 + 1)))
        if side < 1:
            raise ValueError(
                f"AlexNet's poolings leave nothing of a {image_size} x {image_size} image; it needs 67 x 67"
            )
        self.convolutions = nn.Sequential(
            *(nn.Conv2d(num_channels, 96, 11, stride=4), nn.ReLU(), nn.MaxPool2d(3, 2)),
            *(nn.Conv2d(96, 256, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2)),
            *(nn.Conv2d(256, 384, 3, padding=1), nn.ReLU()),
            *(nn.Conv2d(384, 384, 3, padding=1), nn.ReLU()),
            *(nn.Conv2d(384, 256, 3, padding=1), nn.ReLU(), nn.MaxPool2d(3, 2)),
        )
        self.linear = nn.Sequential(
            *(nn.Dropout(dropout), nn.Linear(256 * side**2, hidden), nn.ReLU()),
            *(nn.Dropout(dropout), nn.Linear(hidden, hidden), nn.ReLU()),
            nn.Linear(hidden, num_classes),
        )

    def forward(self, image: Image) -> Float[Tensor, "event class"]:
        return self.linear(self.convolutions(image.energy).flatten(1))


def _pooled(side: int) -> int:
    """What windows of 3 pixels, 2 apart, leave of a side."""
    return (side - 3) // 2 + 1
