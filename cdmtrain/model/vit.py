"""Vision transformer (Dosovitskiy 2021, arXiv:2010.11929): an image as a set of patches, the dark ones left out."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from cdmtrain.batch import Image, Sequence

GROUPS = 4  # of events of about as many lit patches, encoded one after another: half of the padding is gone


class ViT(nn.Module):
    """Linear embedding of patches, encoder layers, one linear layer on a token that stands for the whole image.

    z_0 = [x_event; x_1 E; x_2 E; ...] + E_position (eq. 1), with x_i the pixels of patch i and E_position learned; the
    encoder is torch's, normalised first, with GELU (eq. 2 and 3). A patch without a lit pixel would be attended to by
    all others and say nothing: it is left out, which leaves some 30 of 576 patches of 8 x 8 pixels. A dark image is the
    token of the event alone. The last row and column of patches reach over the image where its size is no multiple.

    Args:
        image_size: rows and columns S of an image.
        patch_size: rows and columns P of a patch.
        width: numbers that describe a patch, divisible by `heads`.
        depth: encoder layers.
        heads: attention heads of each layer.
        dropout: probability that a number is dropped inside an encoder layer, while training.
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
        num_channels: int = 1,
        num_classes: int = 4,
    ) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"width={width} is not divisible by heads={heads}; every head has the same share")
        self.patch_size = patch_size
        self.beyond = -image_size % patch_size
        num_patches = ((image_size + self.beyond) // patch_size) ** 2
        self.embedding = nn.Linear(num_channels * patch_size**2, width)
        self.position = nn.Parameter(0.02 * torch.randn(num_patches, width))
        self.whole_event = nn.Parameter(0.02 * torch.randn(width))
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(
                width, heads, 4 * width, dropout, activation="gelu", batch_first=True, norm_first=True
            )
            for _ in range(depth)
        )
        self.norm = nn.LayerNorm(width)
        self.linear = nn.Linear(width, num_classes)

    def forward(self, image: Image) -> Float[Tensor, "event class"]:
        groups, index = self._lit_patches(image).by_length(GROUPS)
        return self.linear(torch.cat([self._encode(group) for group in groups])[index])

    def _lit_patches(self, image: Image) -> Sequence:
        """The embedded patches that have a lit pixel, row by row, padded to the image that has most."""
        side = self.patch_size
        padded = nn.functional.pad(image.energy, (0, self.beyond, 0, self.beyond))
        patches = padded.unfold(2, side, side).unfold(3, side, side).permute(0, 2, 3, 1, 4, 5).flatten(3).flatten(1, 2)
        lit = patches.any(dim=2)
        event, number = lit.nonzero(as_tuple=True)
        place = (lit.cumsum(1) - 1)[event, number]
        tokens = self.embedding(patches[event, number]) + self.position[number]
        num_lit = lit.sum(1)
        length = max(int(num_lit.max()), 1)
        feature = tokens.new_zeros(len(patches), length, tokens.shape[1])
        feature[event, place] = tokens
        return Sequence(feature=feature, mask=torch.arange(length, device=lit.device) < num_lit.unsqueeze(1))

    def _encode(self, patches: Sequence) -> Float[Tensor, "event width"]:
        token = self.whole_event.to(patches.feature.dtype).expand(patches.num_events, 1, -1)
        x = torch.cat([token, patches.feature], dim=1)
        padding = ~nn.functional.pad(patches.mask, (1, 0), value=True)
        for layer in self.layers:
            x = layer(x, src_key_padding_mask=padding)
        return self.norm(x[:, 0])
