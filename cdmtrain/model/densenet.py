"""DenseNet (Huang, Liu, van der Maaten and Weinberger 2017, arXiv:1608.06993): each layer sees all layers before it.

Notable choices:
- bottlenecks and compression, the paper's DenseNet-BC;
- the default stem keeps every pixel up to its pooling (kernel 3, stride 1; the paper: 7 and 2).

Differences from the paper:
- a transition has ReLU after its normalisation, as the authors' code has it;
- a transition keeps the last row and column of an image with an odd side.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from cdmtrain.batch import Image
from cdmtrain.layers.activation import make_activation
from cdmtrain.layers.channels_last import channels_last

Features = Float[Tensor, "event _channel _row _column"]


class DenseNet(nn.Module):
    """Stem, dense blocks with transitions between them, mean over all pixels, one linear layer.

    In a dense block x_l = H_l([x_0, x_1, ..., x_{l-1}]) (eq. 2). H is BN -> s -> 1 x 1 convolution to 4 `growth`
    channels -> BN -> s -> 3 x 3 convolution to `growth` channels, with an activation s, in the paper ReLU. A transition
    halves channels and resolution. With growth 32, blocks 6-12-24-16, width 64, stem kernel 7 and stride 2, 3 channels
    and 1000 classes this is DenseNet-121 (table 1), 7 978 856 parameters.

    Args:
        growth: channels that each layer adds.
        blocks: layers of each dense block.
        width: channels of the stem.
        stem_kernel, stem_stride: of the first convolution, in pixels.
        activation: relu, gelu, silu, tanh or sigmoid.
        num_channels: channels K of an image.
        num_classes: number of logits C.

    Shapes: Image (B, K, S, S) -> (B, C). S >= stem_stride * 2^(number of blocks) leaves at least one pixel.
    """

    def __init__(
        self,
        *,
        growth: int,
        blocks: Sequence[int],
        width: int,
        stem_kernel: int,
        stem_stride: int,
        activation: str = "relu",
        num_channels: int = 1,
        num_classes: int = 4,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = [
            nn.Conv2d(num_channels, width, stem_kernel, stem_stride, stem_kernel // 2, bias=False),
            nn.BatchNorm2d(width),
            make_activation(activation, inplace=True),
            nn.MaxPool2d(3, 2, padding=1),
        ]
        channels = width
        for number, depth in enumerate(blocks):
            if number > 0:
                halved = _preactivated(channels, channels // 2, 1, activation)
                layers.append(nn.Sequential(*halved, nn.AvgPool2d(2, ceil_mode=True)))
                channels //= 2
            layers += [DenseLayer(channels + index * growth, growth, activation) for index in range(depth)]
            channels += depth * growth
        self.layers = nn.Sequential(*layers, nn.BatchNorm2d(channels), make_activation(activation, inplace=True))
        self.linear = nn.Linear(channels, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")  # arXiv:1502.01852
        channels_last(self)

    def forward(self, image: Image) -> Float[Tensor, "event class"]:
        return self.linear(self.embed(image))

    def embed(self, image: Image) -> Float[Tensor, "event feature"]:
        """The features of an event, from which the last layer computes its logits."""
        return self.layers(image.energy).mean((2, 3))


class DenseLayer(nn.Module):
    """[x, H(x)]: appends `growth` channels to its input."""

    def __init__(self, inputs: int, growth: int, activation: str) -> None:
        super().__init__()
        bottleneck = _preactivated(inputs, 4 * growth, 1, activation)
        self.h = nn.Sequential(*bottleneck, *_preactivated(4 * growth, growth, 3, activation))

    def forward(self, x: Features) -> Features:
        return torch.cat([x, self.h(x)], dim=1)


def _preactivated(inputs: int, outputs: int, kernel: int, activation: str) -> list[nn.Module]:
    """BN -> activation -> convolution."""
    convolution = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False)
    return [nn.BatchNorm2d(inputs), make_activation(activation, inplace=True), convolution]
