"""ReLU and pooling give the same in either order of the layers that the layer chooses."""

import pytest
import torch
from torch import nn

from cdmtrain.layers.relu_pool import relu_then


@pytest.mark.parametrize("Pool", [nn.MaxPool2d, nn.AvgPool2d])
def test_values_and_gradients_are_those_of_relu_then_pooling(Pool, assert_equal_with_gradients):
    x = torch.randn(2, 3, 7, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    x[0, 0, :2] = 0  # where ReLU has its kink and windows have no single maximum
    x.requires_grad_()
    layers = nn.Sequential(*relu_then(Pool(2)))
    assert_equal_with_gradients(layers(x), Pool(2)(x.relu()), x)
