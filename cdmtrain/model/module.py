"""Any network that maps images to logits, such as those of torchvision and timm, as it is."""

from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor, nn

from cdmtrain.batch import Image


class ImageModule(nn.Module):
    """logits = module(x), with x the images, their one channel repeated.

    Args:
        module: a network, or a function, from images (B, K, S, S) to logits (B, C).
        channels: K, how often the channel of an image is repeated.

    Shapes: Image (B, 1, S, S) -> (B, C).
    """

    def __init__(self, *, module: Callable[[Tensor], Tensor], channels: int = 1) -> None:
        super().__init__()
        if channels < 1:
            raise ValueError(f"channels={channels}: at least 1 is expected")
        self.module, self.channels = module, channels

    def forward(self, image: Image) -> Float[Tensor, "event class"]:
        return self.module(image.energy.expand(-1, self.channels, -1, -1))
