"""The vision transformer leaves dark patches out: it says what one says that sees all and masks the dark ones."""

import pytest
import torch
from torch import Tensor, nn

from cdmtrain.batch import Image
from cdmtrain.model.vit import ViT
from cdmtrain.representation.image import ImageRepresentation


@pytest.fixture
def net() -> ViT:
    torch.manual_seed(1)
    return ViT(image_size=30, patch_size=8, width=16, depth=2, heads=4, dropout=0.0)


def logits_of_all_patches(net: ViT, energy: Tensor) -> Tensor:
    """Attention over all 16 patches, cut out one by one, with the dark ones masked."""
    full = nn.functional.pad(energy, (0, 2, 0, 2))
    corners = [(row, column) for row in range(0, 32, 8) for column in range(0, 32, 8)]
    patches = torch.stack([full[:, 0, row : row + 8, column : column + 8].flatten(1) for row, column in corners], dim=1)
    tokens = net.embedding(patches) + net.position
    x = torch.cat([net.whole_event.expand(len(energy), 1, -1), tokens], dim=1)
    dark = nn.functional.pad((patches == 0).all(2), (1, 0), value=False)
    for layer in net.layers:
        x = layer(x, src_key_padding_mask=dark)
    return net.linear(net.norm(x[:, 0]))


def test_logits_are_those_of_all_patches_with_the_dark_ones_masked(net, make_batch):
    image = ImageRepresentation()(make_batch(9, image_size=30, empty=[2]))
    torch.testing.assert_close(net(image), logits_of_all_patches(net, image.energy), rtol=1e-4, atol=1e-5)  # sums


def test_the_same_pixels_in_another_patch_are_another_event(net):
    energy = torch.zeros(2, 1, 30, 30)
    energy[0, 0, 2, 3] = energy[1, 0, 10, 3] = 1.0
    logits = net(Image(energy=energy))
    assert (logits[0] - logits[1]).abs().max() > 1e-4


def test_a_width_that_heads_do_not_share_is_refused():
    with pytest.raises(ValueError, match="width=10 is not divisible by heads=4"):
        ViT(image_size=32, patch_size=8, width=10, depth=1, heads=4, dropout=0.0)
