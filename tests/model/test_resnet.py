"""The residual network is its formula, has the published numbers of parameters, commutes with shifts by its stride."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from cdmtrain.batch import Image
from cdmtrain.model.resnet import ResNet


def formula(net: ResNet, x: Tensor, strides: list[int]) -> Tensor:
    """A residual network whose blocks have these strides."""
    w = net.state_dict(keep_vars=True)

    def convolution(x: Tensor, name: str, number: int, stride: int = 1) -> Tensor:
        """A convolution, padded to keep the size at stride 1, and batch normalisation."""
        weight, norm = w[f"{name}.{number}.weight"], f"{name}.{number + 1}"
        x = functional.conv2d(x, weight, stride=stride, padding=weight.shape[2] // 2)
        mean, variance = w[f"{norm}.running_mean"][:, None, None], w[f"{norm}.running_var"][:, None, None]
        if net.training:
            mean, variance = x.mean((0, 2, 3), keepdim=True), x.var((0, 2, 3), correction=0, keepdim=True)
        return (x - mean) / (variance + 1e-5).sqrt() * w[f"{norm}.weight"][:, None, None] + w[f"{norm}.bias"][
            :, None, None
        ]

    def block(x: Tensor, name: str, stride: int) -> Tensor:
        if f"{name}.residual.6.weight" in w:  # a bottleneck
            y = convolution(x, f"{name}.residual", 0).clamp(min=0)
            y = convolution(y, f"{name}.residual", 3, stride).clamp(min=0)
            y = convolution(y, f"{name}.residual", 6)
        else:
            y = convolution(x, f"{name}.residual", 0, stride).clamp(min=0)
            y = convolution(y, f"{name}.residual", 3)
        if y.shape != x.shape:
            x = convolution(x, f"{name}.shortcut", 0, stride)
        return (y + x).clamp(min=0)

    x = functional.max_pool2d(convolution(x, "stem", 0).clamp(min=0), 3, stride=2, padding=1)
    for number, stride in enumerate(strides):
        x = block(x, f"stages.{number}", stride)
    return x.mean((2, 3)) @ w["linear.weight"].T + w["linear.bias"]


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("depth", [18, 50])
def test_logits_and_gradients_are_those_of_the_formula(image, drawn, assert_equal_with_gradients, depth, training):
    net = drawn(ResNet(depth=depth, blocks=[1, 2, 1, 1], width=4, stem_kernel=3, stem_stride=1)).train(training)
    expected = formula(net, image.energy, strides=[1, 2, 1, 2, 2])
    assert_equal_with_gradients(net(image), expected, image.energy, *net.parameters())


@pytest.mark.parametrize(("depth", "published"), [(18, 11_689_512), (34, 21_797_672), (50, 25_557_032)])
def test_with_the_papers_stem_the_number_of_parameters_is_the_published_one(num_parameters, depth, published):
    with torch.device("meta"):  # shapes alone
        net = ResNet(depth=depth, width=64, stem_kernel=7, stem_stride=2, num_channels=3, num_classes=1000)
    assert num_parameters(net) == published


def test_features_before_the_mean_commute_with_shifts_by_their_stride():
    torch.manual_seed(1)
    net = ResNet(
        depth=18, blocks=[1, 1, 1, 1], width=4, stem_kernel=3, stem_stride=1
    ).eval()  # biases are initially zero
    energy = torch.zeros(1, 1, 256, 256)
    energy[..., 120:136, 120:136] = torch.rand(16, 16)
    features = net.stages(net.stem(energy))
    moved = net.stages(net.stem(energy.roll((16, -32), dims=(2, 3))))  # 16 pixels a step
    torch.testing.assert_close(moved, features.roll((1, -2), dims=(2, 3)), rtol=1e-4, atol=1e-5)  # float32 sums
    assert (net.stages(net.stem(energy.roll(8, dims=2))) - features).abs().max() > 1e-3


def test_blocks_replace_those_of_the_paper():
    small, paper = (ResNet(depth=18, blocks=b, width=4, stem_kernel=3, stem_stride=1) for b in ([1, 1, 1, 1], None))
    assert [len(net.stages) for net in (small, paper)] == [4, 8]
    assert small.eval()(Image(energy=torch.zeros(2, 1, 8, 8))).shape == (2, 4)


def test_a_depth_that_is_not_in_the_paper_is_refused():
    with pytest.raises(
        ValueError, match=r"depth=19: one of 18, 34, 50, 101, 152 is expected; blocks sets other depths"
    ):
        ResNet(depth=19, width=4, stem_kernel=3, stem_stride=1)
