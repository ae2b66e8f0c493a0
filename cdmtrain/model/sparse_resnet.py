"""Residual network of submanifold sparse convolutions (Graham and van der Maaten 2017, arXiv:1706.01307).

Notable choices:
- the full resolution comes first: several blocks before the first down-sampling;
- every stage is pooled, not only the last, so that fine and coarse features reach the head side by side;
- features of the whole event, if the representation gives any, enter with each hit and once more at the head.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn

from cdmtrain.batch import Hits
from cdmtrain.layers.activation import make_activation
from cdmtrain.layers.mean_max_pooling import mean_max_pooling
from cdmtrain.layers.site_norm import SiteNorm
from cdmtrain.layers.sites import KernelMap, Stage, find_stages
from cdmtrain.layers.sparse_convolution import SparseConvolution


class SparseResNet(nn.Module):
    """A residual network (He 2016, arXiv:1512.03385, figure 2) that computes at lit pixels only.

    stem -> blocks of stage 0 -> [down-sampling by 2 -> blocks] of each further stage; the mean and maximum over the
    sites of each stage's result, and the features of the event, enter two linear layers:

        y = W_2 s(W_1 norm([mean_0, max_0, ..., mean_K, max_K, event features]) + b_1) + b_2

    with an activation s, by default ReLU. A maximum below zero counts as zero.

    A submanifold convolution has outputs only where it has inputs and treats dark pixels as zeros: it is the dense
    convolution read at the lit pixels, at the cost of the lit neighbours alone (3.7 of 9 per pixel). Down-sampling is a
    2 x 2 convolution of stride 2.

    It differs from `resnet` in more than that: `resnet` halves the resolution in its stem and in the first block of a
    stage, its shortcuts are convolutions where the width changes, and it pools only the last stage, by the mean, before
    a single linear layer.

    Args:
        image_size: rows and columns S of an image.
        channels: of each stage; each stage has half the resolution of the one before.
        blocks: residual blocks of each stage, two 3 x 3 convolutions each.
        dropout: probability to leave out a pooled feature, in training.
        activation: relu, gelu, silu, tanh or sigmoid.
        num_features: features of a hit as the representation gives them, those of its event included.
        num_event_features: features of an event as the representation gives them.
        num_classes: number of logits C.

    Shapes: Hits of B events with feature (N, num_features), event_feature (B, num_event_features) -> (B, C). An event
    without a hit pools to zeros.
    """

    def __init__(
        self,
        *,
        image_size: int,
        channels: Sequence[int],
        blocks: Sequence[int],
        dropout: float,
        activation: str = "relu",
        num_features: int = 1,
        num_event_features: int = 0,
        num_classes: int = 4,
    ) -> None:
        super().__init__()
        if len(channels) != len(blocks) or min([*channels, *blocks], default=0) < 1:
            raise ValueError(
                f"channels={list(channels)} and blocks={list(blocks)}: one number of at least 1 for every stage is "
                "expected in each"
            )
        if image_size <= 2 ** (len(channels) - 2):
            raise ValueError(f"{len(channels)} stages halve a {image_size} x {image_size} image beyond one pixel")
        if num_features < 1:
            raise ValueError("at least one feature of each hit is expected, such as representation/features=[energy]")
        self.activation = make_activation(activation)
        self.stem = SparseConvolution(num_features, channels[0], kernel_elements=9, activation=self.activation)
        self.stages = nn.ModuleList(
            nn.ModuleList(ResidualBlock(width, self.activation) for _ in range(depth))
            for width, depth in zip(channels, blocks, strict=True)
        )
        self.downs = nn.ModuleList(
            SparseConvolution(fine, coarse, kernel_elements=4, activation=self.activation)
            for fine, coarse in pairwise(channels)
        )
        self.dropout = nn.Dropout(dropout)
        pooled = 2 * sum(channels) + num_event_features
        hidden = nn.Linear(pooled, channels[-1])
        last = nn.Linear(channels[-1], num_classes)
        self.head = nn.Sequential(SiteNorm(pooled), hidden, self.activation, last)

    def forward(self, hits: Hits) -> Float[Tensor, "event class"]:
        return self.head(self._pooled(hits, self._find_stages(hits)))  # not of `embed`: one compiled graph, not two

    def embed(self, hits: Hits) -> Float[Tensor, "event feature"]:
        """The features of an event, from which the last layer computes its logits."""
        return self.head[:-1](self._pooled(hits, self._find_stages(hits)))

    def hit_features(self, hits: Hits) -> Float[Tensor, "hit feature"]:
        """The features of each hit: what each stage computes at the site that holds it, side by side."""
        stages = self._find_stages(hits)
        site, features = torch.arange(hits.pixel.shape[0], device=hits.pixel.device), []
        for stage, x in zip(stages, self._stage_results(hits, stages), strict=True):
            if stage.down is not None:
                site = stage.down.target_of.amin(1).index_select(0, site)  # elsewhere it holds the number of sites
            features.append(x.index_select(0, site))
        return torch.cat(features, dim=1)

    def first_kernels(self) -> Float[Tensor, "kernel 3 3"]:
        """What the first convolution does with the first feature of the hits."""
        return self.stem.weight[:, 0].t().reshape(-1, 3, 3)

    def _find_stages(self, hits: Hits) -> list[Stage]:
        compiling, traced = torch.compiler.is_dynamo_compiling(), torch.compiler.is_compiling()
        pairs = hits.pixel.device.type == "cpu" and not traced
        return find_stages(hits, len(self.stages), merge=compiling or not traced, pairs=pairs)

    def _pooled(self, hits: Hits, stages: list[Stage]) -> Float[Tensor, "event pooled"]:
        results = zip(stages, self._stage_results(hits, stages), strict=True)
        pooled = [mean_max_pooling(x, sites.offset, sites.once) for sites, x in results]
        features = self.dropout(torch.cat(pooled, dim=1))
        return torch.cat([features, hits.event_feature.to(features.dtype)], dim=1)

    def _stage_results(self, hits: Hits, stages: list[Stage]) -> Iterator[Float[Tensor, "site channel"]]:
        x = self.stem(hits.feature, stages[0].neighbours)
        for number, (sites, blocks) in enumerate(zip(stages, self.stages, strict=True)):
            if sites.down is not None:
                x = self.downs[number - 1](x, sites.down)
            for block in blocks:  # type: ignore[attr-defined]
                x = block(x, sites.neighbours)
            yield x


class ResidualBlock(nn.Module):
    """y = s(x + f_2(s(f_1(x)))), with a submanifold convolution f, batch normalised over sites."""

    def __init__(self, channels: int, activation: nn.Module) -> None:
        super().__init__()
        self.first = SparseConvolution(channels, channels, kernel_elements=9, activation=activation)
        self.second = SparseConvolution(channels, channels, kernel_elements=9, activation=activation)

    def forward(self, x: Float[Tensor, "site channel"], neighbours: KernelMap) -> Float[Tensor, "site channel"]:
        return self.second(self.first(x, neighbours), neighbours, residual=x)
