"""AlexNet is its formula and has the published numbers of parameters."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from cdmtrain.batch import Image
from cdmtrain.model.alexnet import AlexNet


def formula(net: AlexNet, x: Tensor) -> Tensor:
    w = dict(net.named_parameters())

    def convolution(x: Tensor, number: int, **how: int) -> Tensor:
        name = f"convolutions.{number}"
        return functional.conv2d(x, w[f"{name}.weight"], w[f"{name}.bias"], **how).clamp(min=0)

    def linear(x: Tensor, number: int) -> Tensor:
        return x @ w[f"linear.{number}.weight"].T + w[f"linear.{number}.bias"]

    x = functional.max_pool2d(convolution(x, 0, stride=4), 3, stride=2)
    x = functional.max_pool2d(convolution(x, 3, padding=2), 3, stride=2)
    x = convolution(convolution(x, 6, padding=1), 8, padding=1)
    x = functional.max_pool2d(convolution(x, 10, padding=1), 3, stride=2).flatten(1)
    dropout = net.linear[0].p if net.training else 0.0
    x = linear(functional.dropout(x, dropout), 1).clamp(min=0)
    x = linear(functional.dropout(x, dropout), 4).clamp(min=0)
    return linear(x, 6)


@pytest.mark.parametrize("training", [True, False])
def test_logits_and_gradients_are_those_of_the_formula(drawn, assert_equal_with_gradients, training):
    net = drawn(AlexNet(image_size=67, hidden=8, dropout=0.4)).train(training)
    energy = torch.randn(2, 1, 67, 67, dtype=torch.float64, requires_grad=True)
    torch.manual_seed(7)
    found = net(Image(energy=energy))
    torch.manual_seed(7)  # the same numbers are dropped
    assert_equal_with_gradients(found, formula(net, energy), energy, *net.parameters())


def test_layers_have_the_published_numbers_of_parameters(num_parameters):
    with torch.device("meta"):  # shapes alone
        net = AlexNet(image_size=227, hidden=4096, dropout=0.5, num_channels=3, num_classes=1000)
    layers = [module for module in net.modules() if hasattr(module, "weight")]
    published = [34_944, 614_656, 885_120, 1_327_488, 884_992, 37_752_832, 16_781_312, 4_097_000]
    assert [num_parameters(layer) for layer in layers] == published
    assert num_parameters(net) == 62_378_344


def test_one_channel_of_192_pixels_and_four_classes_have_the_documented_number(num_parameters):
    with torch.device("meta"):
        assert num_parameters(AlexNet(image_size=192, hidden=4096, dropout=0.5)) == 37_302_980


def test_side_of_the_last_pooling_is_what_the_layers_leave():
    for image_size in (67, 98, 99, 130, 131):  # where a pooling gains a pixel, and one before
        net = AlexNet(image_size=image_size, hidden=2, dropout=0.0)
        energy = torch.zeros(1, 1, image_size, image_size)
        assert net.convolutions(energy).flatten(1).shape[1] == net.linear[1].in_features
        assert net(Image(energy=energy)).shape == (1, 4)


def test_an_image_that_the_poolings_use_up_is_refused():
    with pytest.raises(ValueError, match="image_size=66: AlexNet needs images of at least 67 x 67 pixels"):
        AlexNet(image_size=66, hidden=2, dropout=0.0)
