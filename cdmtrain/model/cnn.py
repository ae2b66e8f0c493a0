"""Convolutional network (LeCun 1989; doi:10.1162/neco.1989.1.4.541): local, translation-equivariant, then pooled."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from cdmtrain.batch import Image


class CNN(nn.Module):
    """[convolution -> ReLU -> pooling] once for each entry of `channels`, then one linear layer.

    With the defaults of `model=cnn` (kernel 2, stride 1, padding 1, pool 2, channels 1-2-4-8) a 192 x 192 image leaves
    8 x 24 x 24 numbers for the linear layer: the lecture's network, 18 618 parameters.

    Args:
        image_size: rows and columns S of an image.
        channels: output channels of each convolution.
        kernel_size, stride, padding: of each convolution, in pixels.
        pool_size: side and stride of each pooling window, in pixels.
        pooling: max or average.
        num_classes: number of logits C.

    Shapes: Image (B, 1, S, S) -> (B, C).
    """

    def __init__(
        self,
        *,
        image_size: int,
        channels: Sequence[int],
        kernel_size: int,
        stride: int,
        padding: int,
        pool_size: int,
        pooling: str = "max",
        num_classes: int = 4,
    ) -> None:
        super().__init__()
        if min(channels, default=0) < 1:
            raise ValueError(f"channels={list(channels)}: at least one convolution of at least 1 channel is expected")
        if pooling not in ("max", "average"):
            raise ValueError(f"pooling={pooling}: max or average is expected")
        blocks: list[nn.Module] = []
        size, inputs = image_size, 1
        for outputs in channels:
            blocks.append(nn.Conv2d(inputs, outputs, kernel_size, stride, padding))
            blocks += _rectified_and_pooled(pooling, pool_size)
            size = ((size + 2 * padding - kernel_size) // stride + 1) // pool_size
            inputs = outputs
        if size < 1:
            raise ValueError(
                f"{len(channels)} convolutions and poolings leave nothing of a {image_size} x {image_size} image"
            )
        # oneDNN pads channels to 16 in its own layout: with few channels, channels-last is four times as fast
        self.blocks = nn.Sequential(*blocks).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.linear = nn.Linear(inputs * size**2, num_classes)

    def forward(self, image: Image) -> Float[Tensor, "event class"]:
        return self.linear(self.blocks(image.energy).flatten(1))


def _rectified_and_pooled(pooling: str, size: int) -> tuple[nn.Module, nn.Module]:
    if pooling == "max":
        return nn.MaxPool2d(size), nn.ReLU()  # they commute, gradients included: ReLU on a quarter of the numbers
    return nn.ReLU(), nn.AvgPool2d(size)
