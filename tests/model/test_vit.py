"""The vision transformer is its formula, event by event, on the patches that are not dark."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from cdmtrain.batch import Image
from cdmtrain.model.vit import ViT

WIDTH, HEADS, SIDE = 16, 4, 5


@pytest.fixture
def net(drawn) -> ViT:
    return drawn(ViT(image_size=33, patch_size=8, width=WIDTH, depth=2, heads=HEADS, dropout=0.0))


def formula(net: ViT, image: Tensor) -> Tensor:
    """Logits of one image (33, 33), extended to 5 x 5 patches of 8 x 8 pixels."""
    w = dict(net.named_parameters())

    def linear(x: Tensor, name: str) -> Tensor:
        return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]

    def norm(x: Tensor, name: str) -> Tensor:
        return functional.layer_norm(x, (WIDTH,), w[f"{name}.weight"], w[f"{name}.bias"])

    def attention(x: Tensor, name: str) -> Tensor:
        query, key, value = (x @ w[f"{name}.in_proj_weight"].T + w[f"{name}.in_proj_bias"]).chunk(3, dim=1)
        heads = []
        for q, k, v in zip(query.chunk(HEADS, 1), key.chunk(HEADS, 1), value.chunk(HEADS, 1), strict=True):
            similarity = (q @ k.T / (WIDTH / HEADS) ** 0.5).exp()
            heads.append(similarity / similarity.sum(1, keepdim=True) @ v)
        return linear(torch.cat(heads, dim=1), f"{name}.out_proj")

    extended = functional.pad(image, (0, 7, 0, 7))
    corners = [(8 * row, 8 * column) for row in range(SIDE) for column in range(SIDE)]
    patches = [extended[row : row + 8, column : column + 8].flatten() for row, column in corners]
    tokens = [
        linear(patch.unsqueeze(0), "embedding") + w["position"][number]
        for number, patch in enumerate(patches)
        if patch.any()
    ]
    x = torch.cat([w["whole_event"].unsqueeze(0), *tokens])
    for number in range(2):
        layer = f"layers.{number}"
        x = x + attention(norm(x, f"{layer}.norm1"), f"{layer}.self_attn")
        x = x + linear(functional.gelu(linear(norm(x, f"{layer}.norm2"), f"{layer}.linear1")), f"{layer}.linear2")
    return linear(norm(x[:1], "norm"), "linear")


@pytest.mark.parametrize("training", [True, False])
def test_logits_and_gradients_are_those_of_the_formula(net, image, assert_equal_with_gradients, training):
    expected = torch.cat([formula(net, energy) for energy in image.energy.squeeze(1)])
    assert_equal_with_gradients(net.train(training)(image), expected, image.energy, *net.parameters())


def test_dropout_acts_in_training_only(image):
    net = ViT(image_size=33, patch_size=8, width=WIDTH, depth=1, heads=HEADS, dropout=0.5).double()
    assert not torch.equal(net(image), net(image))
    net.eval()
    assert torch.equal(net(image), net(image))


def test_images_of_several_channels_are_embedded_with_all_of_them():
    net = ViT(image_size=16, patch_size=8, width=WIDTH, depth=1, heads=HEADS, dropout=0.0, num_channels=2).eval()
    energy = torch.rand(1, 2, 16, 16, generator=torch.Generator().manual_seed(1))
    other = energy.clone()
    other[:, 1] *= 2
    assert (net(Image(energy=energy)) - net(Image(energy=other))).abs().max() > 1e-4


def test_a_width_that_heads_do_not_share_is_refused():
    with pytest.raises(ValueError, match="width=10 is not divisible by heads=4"):
        ViT(image_size=32, patch_size=8, width=10, depth=1, heads=4, dropout=0.0)
