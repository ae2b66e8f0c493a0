"""Every setting of the dense network is what it says."""

from collections.abc import Callable

import pytest
import torch
from torch import nn

from cdmtrain.batch import EventBatch, Image
from cdmtrain.model.dnn import ACTIVATIONS, DNN
from cdmtrain.representation.image import ImageRepresentation


@pytest.fixture
def image(make_batch: Callable[..., EventBatch]) -> Image:
    return ImageRepresentation()(make_batch(5, image_size=12, empty=[2]))


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_logits_are_those_of_linear_layers_with_the_activation_between(image, activation):
    torch.manual_seed(1)
    net = DNN(image_size=12, width=6, depth=2, activation=activation)
    function = getattr(nn.functional, activation) if activation != "tanh" else torch.tanh
    x = image.energy.flatten(1)
    first, second, last = net.layers[0], net.layers[2], net.layers[4]
    expected = last(function(second(function(x @ first.weight + first.bias))))
    torch.testing.assert_close(net(image), expected, rtol=1e-5, atol=1e-6)  # float32 sums in another order


def test_dropout_drops_while_training_only(image):
    torch.manual_seed(1)
    net = DNN(image_size=12, width=6, depth=2, dropout=0.5)
    assert not torch.equal(net(image), net(image))
    net.eval()
    assert torch.equal(net(image), net(image))


def test_an_unknown_activation_is_refused():
    with pytest.raises(ValueError, match="activation=relu6: one of relu, gelu, silu, tanh, sigmoid is expected"):
        DNN(image_size=12, width=6, depth=2, activation="relu6")
