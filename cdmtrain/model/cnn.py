"""Convolutional network (LeCun 1989, doi:10.1162/neco.1989.1.4.541): local filters, shared by all places, and pooling.

Notable choices:
- the lecture's network: each convolution is followed by ReLU, or another activation, and pooling; one linear layer
  decides;
- the linear layer sees where a feature is, up to the size of the poolings;
- from hits, a CPU computes the same network only where it can differ from that of an empty image: fifteen times as fast
  for the lecture's network and images of a hundred lit pixels.

Differences from the paper: ReLU, not tanh; pooling, not strides, reduces the resolution; every output channel sees all
input channels.
"""

from collections.abc import Sequence
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from cdmtrain.batch import Hits, Image
from cdmtrain.layers.activation import activation_then
from cdmtrain.layers.channels_last import channels_last
from cdmtrain.layers.lit_cells import Window, find_cells, make_stages
from cdmtrain.layers.lit_convolution import lit_features

POOLINGS: dict[str, type[nn.MaxPool2d] | type[nn.AvgPool2d]] = {"max": nn.MaxPool2d, "average": nn.AvgPool2d}


class CNN(nn.Module):
    """[convolution -> activation -> pooling] for each number of `channels`, then one linear layer.

    With the defaults of `model=cnn` (kernel 2, stride 1, padding 1, pool 2, channels 1-2-4-8) a 192 x 192 image leaves
    8 x 24 x 24 numbers for the linear layer: the lecture's network, 18 618 parameters.

    Args:
        image_size: rows and columns S of an image.
        channels: output channels of each convolution.
        kernel_size, stride, padding: of each convolution, in pixels.
        pool_size: side of each pooling window, in pixels.
        pool_stride: from one pooling window to the next, in pixels; as the side if None.
        pooling: max or average.
        activation: relu, gelu, silu, tanh or sigmoid.
        dense: compute every pixel also from hits on a CPU; the result is the same, up to rounding.
        num_classes: number of logits C.

    Shapes: Hits of B events, or their Image (B, 1, S, S) -> (B, C).
    """

    ignores: ClassVar = ("features", "event_features")

    def __init__(
        self,
        *,
        image_size: int,
        channels: Sequence[int],
        kernel_size: int,
        stride: int,
        padding: int,
        pool_size: int,
        pool_stride: int | None = None,
        pooling: str = "max",
        activation: str = "relu",
        dense: bool = False,
        num_classes: int = 4,
    ) -> None:
        super().__init__()
        if min(channels, default=0) < 1:
            raise ValueError(f"channels={list(channels)}: at least one convolution of at least 1 channel is expected")
        if pooling not in POOLINGS:
            raise ValueError(f"pooling={pooling}: max or average is expected")
        window = Window(kernel_size, stride, padding, pool_size, pool_stride or pool_size)
        layers: list[nn.Module] = []
        sizes, inputs = [image_size], 1
        for outputs in channels:
            layers.append(nn.Conv2d(inputs, outputs, kernel_size, stride, padding))
            layers += activation_then(activation, POOLINGS[pooling](pool_size, pool_stride))
            sizes.append(window.num_cells(sizes[-1]))
            inputs = outputs
        if min(sizes) < 1:
            raise ValueError(
                f"{len(channels)} convolutions and poolings leave nothing of a {image_size} x {image_size} image"
            )
        self.stages = None if dense else make_stages(image_size, window, channels)
        self.blocks = channels_last(nn.Sequential(*layers))
        self.linear = nn.Linear(inputs * sizes[-1] ** 2, num_classes)

    def forward(self, pixels: Hits | Image) -> Float[Tensor, "event class"]:
        return self.linear(self.embed(pixels))

    def embed(self, pixels: Hits | Image) -> Float[Tensor, "event feature"]:
        """The features of an event, from which the last layer computes its logits."""
        if isinstance(pixels, Image):
            return self.blocks(pixels.energy).flatten(1)
        if self.stages and pixels.pixel.device.type == "cpu" and not torch.compiler.is_compiling():
            cells = find_cells(self.stages, pixels)
            if cells is not None:
                return lit_features(self.blocks, pixels.energy, cells)
        return self.blocks(pixels.image(pixels.energy)).flatten(1)
