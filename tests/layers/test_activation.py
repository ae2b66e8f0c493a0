"""An activation and a pooling give the same in either order of the layers that is chosen."""

import pytest
import torch
from torch import nn

from cdmtrain.layers.activation import ACTIVATIONS, activation_then, make_activation


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("Pool", [nn.MaxPool2d, nn.AvgPool2d])
def test_values_and_gradients_are_those_of_the_activation_then_pooling(Pool, name, assert_equal_with_gradients):
    x = torch.randn(2, 3, 7, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    x[0, 0, :2] = 0  # where ReLU has its kink and windows have no single maximum
    x.requires_grad_()
    layers = nn.Sequential(*activation_then(name, Pool(2)))
    assert_equal_with_gradients(layers(x), Pool(2)(make_activation(name)(x)), x)


def test_an_unknown_activation_is_refused():
    with pytest.raises(ValueError, match="activation=relu6: one of relu, gelu, silu, tanh, sigmoid is expected"):
        make_activation("relu6")
