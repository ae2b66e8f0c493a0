"""The dense network is its formula, with every setting."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from cdmtrain.layers.activation import ACTIVATIONS
from cdmtrain.model.dnn import DNN


def formula(net: DNN, x: Tensor, activation: str) -> Tensor:
    function = getattr(torch, activation) if activation in ("tanh", "sigmoid") else getattr(functional, activation)
    first, *others = net.layers[0], net.layers[2], net.layers[4]
    x = x @ first.weight + first.bias
    for layer in others:
        x = functional.dropout(function(x), 0.3, training=net.training) @ layer.weight.T + layer.bias
    return x


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_logits_and_gradients_are_those_of_the_formula(image, drawn, assert_equal_with_gradients, activation, training):
    net = drawn(DNN(image_size=33, width=6, depth=2, activation=activation, dropout=0.3)).train(training)
    torch.manual_seed(7)
    found = net(image)
    torch.manual_seed(7)  # the same numbers are dropped
    expected = formula(net, image.energy.flatten(1), activation)
    assert_equal_with_gradients(found, expected, image.energy, *net.parameters())
