"""Vision transformer (Dosovitskiy 2021, arXiv:2010.11929): an image as a set of patches.

Notable choices:
- patches without a lit pixel are left out, which leaves some 30 of 576 patches of 8 x 8 pixels;
- where the size of the image is no multiple of the patch size, the last patches reach over the edge.

Differences from the paper: the class token has no position, as the sum of two learned vectors would be one learned
vector; dropout also acts on the attention, but not on the embedding; the head is one linear layer.
"""

import math
from functools import partial
from typing import cast

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from cdmtrain.batch import Image, Sequence
from cdmtrain.layers.activation import make_activation
from cdmtrain.layers.by_length import encode_by_length
from cdmtrain.layers.lit_patches import Patches, lit_patches


class ViT(nn.Module):
    """Linear embedding of patches, encoder layers, one linear layer on the class token.

    z_0 = [x_class; x_1 E + p_1; x_2 E + p_2; ...] (eq. 1), with x_i the pixels and p_i the learned position of patch i.
    The encoder is PyTorch's, normalised first (eq. 2 and 3), with an activation, in the paper GELU; the logits are
    W LN(z_L[class]) + b (eq. 4). A dark image is the class token alone.

    Args:
        image_size: rows and columns S of an image.
        patch_size: rows and columns P of a patch.
        width: numbers that describe a patch, divisible by `heads`.
        depth: encoder layers.
        heads: attention heads of each layer.
        dropout: probability that a number inside an encoder layer is set to zero in training.
        activation: of the MLP: relu, gelu, silu, tanh or sigmoid.
        num_channels: channels K of an image.
        num_classes: number of logits C.

    Shapes: Image (B, K, S, S) -> (B, C).
    """

    def __init__(
        self,
        *,
        image_size: int,
        patch_size: int,
        width: int,
        depth: int,
        heads: int,
        dropout: float,
        activation: str = "gelu",
        num_channels: int = 1,
        num_classes: int = 4,
    ) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"width={width} is not divisible by heads={heads}; every head has the same share")
        self.patch_size = patch_size
        num_patches = math.ceil(image_size / patch_size) ** 2
        self.embedding = nn.Linear(num_channels * patch_size**2, width)
        self.position = nn.Parameter(0.02 * torch.randn(num_patches, width))
        self.whole_event = nn.Parameter(0.02 * torch.randn(width))
        layer = partial(nn.TransformerEncoderLayer, activation=make_activation(activation), batch_first=True)
        layers = (layer(width, heads, 4 * width, dropout, norm_first=True) for _ in range(depth))
        self.layers = nn.ModuleList(layers)
        self.norm = nn.LayerNorm(width)
        self.linear = nn.Linear(width, num_classes)

    def forward(self, image: Image) -> Float[Tensor, "event class"]:
        return self.linear(self.embed(image))

    def embed(self, image: Image) -> Float[Tensor, "event feature"]:
        """The features of an event, from which the last layer computes its logits."""
        patches = lit_patches(image.energy, self.patch_size)
        return encode_by_length(self._encode, self._embedded(patches), num_groups=4)

    def attention(self, image: Image) -> Float[Tensor, "event row column"]:
        """How much the class token attends to the patch of each pixel in the last layer, the mean of the heads."""
        patches = lit_patches(image.energy, self.patch_size)
        x, padding = self._tokens(self._embedded(patches))
        for layer in self.layers[:-1]:
            x = layer(x, src_key_padding_mask=padding)
        last = cast(nn.TransformerEncoderLayer, self.layers[-1])
        x = last.norm1(x)
        _, weight = last.self_attn(x, x, x, key_padding_mask=padding)
        of_patch = weight.new_zeros(image.num_events, len(self.position))
        of_patch[patches.event, patches.number] = weight[:, 0, 1:][patches.event, patches.rank]
        size, side = image.energy.shape[3], math.isqrt(len(self.position))
        pixels = of_patch.unflatten(1, (side, side)).repeat_interleave(self.patch_size, 1)
        return pixels.repeat_interleave(self.patch_size, 2)[:, :size, :size]

    def _embedded(self, patches: Patches) -> Sequence:
        return patches.to_sequence(self.embedding(patches.pixels) + self.position[patches.number])

    def _encode(self, patches: Sequence) -> Float[Tensor, "event width"]:
        x, padding = self._tokens(patches)
        for layer in self.layers:
            x = layer(x, src_key_padding_mask=padding)
        return self.norm(x[:, 0])

    def _tokens(self, patches: Sequence) -> tuple[Float[Tensor, "event token width"], Bool[Tensor, "event token"]]:
        """The class token and the patches of an event, and which of them are padding."""
        token = self.whole_event.to(patches.feature.dtype).expand(patches.num_events, 1, -1)
        x = torch.cat([token, patches.feature], dim=1)
        return x, ~nn.functional.pad(patches.mask, (1, 0), value=True)
