"""DenseNet is its formula and has the published number of parameters."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from cdmtrain.model.densenet import DenseNet


def formula(net: DenseNet, x: Tensor) -> Tensor:
    """DenseNet of two dense blocks, of two layers and one."""
    w = net.state_dict(keep_vars=True)

    def norm_relu(x: Tensor, name: str) -> Tensor:
        mean, variance = w[f"{name}.running_mean"][:, None, None], w[f"{name}.running_var"][:, None, None]
        if net.training:
            mean, variance = x.mean((0, 2, 3), keepdim=True), x.var((0, 2, 3), correction=0, keepdim=True)
        scaled = (x - mean) / (variance + 1e-5).sqrt() * w[f"{name}.weight"][:, None, None]
        return (scaled + w[f"{name}.bias"][:, None, None]).clamp(min=0)

    def layer(x: Tensor, name: str) -> Tensor:
        h = functional.conv2d(norm_relu(x, f"{name}.h.0"), w[f"{name}.h.2.weight"])
        return torch.cat([x, functional.conv2d(norm_relu(h, f"{name}.h.3"), w[f"{name}.h.5.weight"], padding=1)], dim=1)

    x = norm_relu(functional.conv2d(x, w["layers.0.weight"], stride=2, padding=1), "layers.1")
    x = functional.max_pool2d(x, 3, stride=2, padding=1)
    x = layer(layer(x, "layers.4"), "layers.5")
    x = functional.conv2d(norm_relu(x, "layers.6.0"), w["layers.6.2.weight"])
    odd = x.shape[2] % 2
    ones = functional.pad(torch.ones_like(x), (0, odd, 0, odd))
    x = functional.avg_pool2d(functional.pad(x, (0, odd, 0, odd)), 2) / functional.avg_pool2d(ones, 2)
    x = norm_relu(layer(x, "layers.7"), "layers.8")
    return x.mean((2, 3)) @ w["linear.weight"].T + w["linear.bias"]


@pytest.mark.parametrize("training", [True, False])
def test_logits_and_gradients_are_those_of_the_formula(image, drawn, assert_equal_with_gradients, training):
    net = drawn(DenseNet(growth=3, blocks=[2, 1], width=4, stem_kernel=3, stem_stride=2)).train(training)
    expected = formula(net, image.energy)
    assert_equal_with_gradients(net(image), expected, image.energy, *net.parameters())


def test_densenet_121_has_the_published_number_of_parameters(num_parameters):
    with torch.device("meta"):  # shapes alone
        net = DenseNet(
            growth=32,
            blocks=[6, 12, 24, 16],
            width=64,
            stem_kernel=7,
            stem_stride=2,
            num_channels=3,
            num_classes=1000,
        )
    assert num_parameters(net) == 7_978_856


def test_features_before_the_mean_commute_with_shifts_by_their_stride():
    torch.manual_seed(1)
    net = DenseNet(growth=4, blocks=[1, 2], width=4, stem_kernel=3, stem_stride=1).eval()  # biases are initially zero
    energy = torch.zeros(1, 1, 64, 64)
    energy[..., 24:40, 24:40] = torch.rand(16, 16)
    features = net.layers(energy)
    moved = net.layers(energy.roll((4, -8), dims=(2, 3)))  # a pooling and a transition: one step is 4 pixels
    torch.testing.assert_close(moved, features.roll((1, -2), dims=(2, 3)), rtol=1e-4, atol=1e-5)  # float32 sums
    assert (net.layers(energy.roll(2, dims=2)) - features).abs().max() > 1e-3
