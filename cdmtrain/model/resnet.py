"""Residual network (He, Zhang, Ren and Sun 2016, arXiv:1512.03385): each block learns a difference to its input.

Notable choices:
- the default stem keeps every pixel up to its pooling (kernel 3, stride 1; the paper: 7 and 2), because the first
  pixels of a shower tell an electron from a photon;
- where a block changes resolution or channels, its input passes a 1 x 1 convolution (option B of the paper).

Differences from the paper: a bottleneck that halves the resolution does so in its 3 x 3 convolution, not in the first
1 x 1, which would skip three of four pixels.
"""

from collections.abc import Callable, Sequence

from jaxtyping import Float
from torch import Tensor, nn

from cdmtrain.batch import Image
from cdmtrain.layers.activation import make_activation
from cdmtrain.layers.channels_last import channels_last

Features = Float[Tensor, "event _channel _row _column"]


class ResNet(nn.Module):
    """Stem, four stages of residual blocks, mean over all pixels, one linear layer.

    A block is y = s(F(x) + x) (eq. 1), or s(F(x) + W x) where F changes resolution or channels (eq. 2); the activation
    s is ReLU in the paper. Stage k = 0, 1, 2, 3 has `width` 2^k channels, four times as many after bottlenecks, and
    from the second on begins with stride 2. With width 64, the stem of the paper, 3 channels and 1000 classes these are
    ResNet-18, 34, 50, 101 and 152.

    Args:
        depth: 18 or 34, with blocks of two 3 x 3 convolutions; 50, 101 or 152, with bottlenecks (table 1, figure 5).
        blocks: blocks of each stage in place of the paper's for this depth, such as [1, 1, 1, 1].
        width: channels of the first stage.
        stem_kernel, stem_stride: of the first convolution, in pixels.
        activation: relu, gelu, silu, tanh or sigmoid.
        num_channels: channels K of an image.
        num_classes: number of logits C.

    Shapes: Image (B, K, S, S) -> (B, C).
    """

    def __init__(
        self,
        *,
        depth: int,
        width: int,
        stem_kernel: int,
        stem_stride: int,
        blocks: Sequence[int] | None = None,
        activation: str = "relu",
        num_channels: int = 1,
        num_classes: int = 4,
    ) -> None:
        super().__init__()
        if depth not in STAGES:
            allowed = ", ".join(map(str, STAGES))
            raise ValueError(f"depth={depth}: one of {allowed} is expected; blocks sets other depths")
        make_block, blocks_of_paper = STAGES[depth]
        stages: list[Block] = []
        channels = width
        for stage, num_blocks in enumerate(blocks or blocks_of_paper):
            for index in range(num_blocks):
                stride = 2 if stage > 0 and index == 0 else 1
                stages.append(make_block(channels, width * 2**stage, stride, activation))
                channels = stages[-1].outputs
        self.stem = nn.Sequential(
            nn.Conv2d(num_channels, width, stem_kernel, stem_stride, stem_kernel // 2, bias=False),
            nn.BatchNorm2d(width),
            make_activation(activation, inplace=True),
            nn.MaxPool2d(3, 2, padding=1),
        )
        self.stages = nn.Sequential(*stages)
        self.linear = nn.Linear(channels, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")  # arXiv:1502.01852
        channels_last(self)

    def forward(self, image: Image) -> Float[Tensor, "event class"]:
        return self.linear(self.embed(image))

    def embed(self, image: Image) -> Float[Tensor, "event feature"]:
        """The features of an event, from which the last layer computes its logits."""
        return self.stages(self.stem(image.energy)).mean((2, 3))


class Block(nn.Module):
    """y = s(F(x) + x), or s(F(x) + W x) where F changes resolution or channels, with an activation s."""

    def __init__(self, residual: Sequence[nn.Module], inputs: int, outputs: int, stride: int, activation: str) -> None:
        super().__init__()
        self.outputs = outputs
        self.residual = nn.Sequential(*residual)
        self.activation = make_activation(activation)
        is_same = inputs == outputs and stride == 1
        self.shortcut = nn.Identity() if is_same else nn.Sequential(*_normalised(inputs, outputs, 1, stride))

    def forward(self, x: Features) -> Features:
        return self.activation(self.residual(x) + self.shortcut(x))


def basic(inputs: int, width: int, stride: int, activation: str) -> Block:
    """Two 3 x 3 convolutions, each with batch normalisation (figure 5, left)."""
    between = make_activation(activation, inplace=True)
    residual = [*_normalised(inputs, width, 3, stride), between, *_normalised(width, width, 3)]
    return Block(residual, inputs, width, stride, activation)


def bottleneck(inputs: int, width: int, stride: int, activation: str) -> Block:
    """A 1 x 1 convolution to `width` channels, a 3 x 3 one, and a 1 x 1 one to four times as many (figure 5, right)."""
    first, second = (make_activation(activation, inplace=True) for _ in range(2))
    residual = [*_normalised(inputs, width, 1), first, *_normalised(width, width, 3, stride)]
    residual += [second, *_normalised(width, 4 * width, 1)]
    return Block(residual, inputs, 4 * width, stride, activation)


STAGES: dict[int, tuple[Callable[[int, int, int, str], Block], tuple[int, ...]]] = {
    18: (basic, (2, 2, 2, 2)),
    34: (basic, (3, 4, 6, 3)),
    50: (bottleneck, (3, 4, 6, 3)),
    101: (bottleneck, (3, 4, 23, 3)),
    152: (bottleneck, (3, 8, 36, 3)),
}


def _normalised(inputs: int, outputs: int, kernel: int, stride: int = 1) -> list[nn.Module]:
    return [nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(outputs)]
