"""The convolutional network is its formula, with every setting."""

import pytest
import torch
from torch.nn import functional

from cdmtrain.batch import Image
from cdmtrain.model.cnn import CNN

POOLINGS = {"max": functional.max_pool2d, "average": functional.avg_pool2d}


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize(
    ("kernel_size", "stride", "padding", "pool_size", "pool_stride"),
    [(2, 1, 1, 2, None), (5, 2, 0, 1, None), (3, 1, 2, 3, None), (3, 1, 1, 3, 2), (2, 1, 1, 2, 3)],
)
@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_logits_and_gradients_are_those_of_the_formula(
    image, drawn, assert_equal_with_gradients, pooling, kernel_size, stride, padding, pool_size, pool_stride, activation
):
    shape = {"kernel_size": kernel_size, "stride": stride, "padding": padding}
    after = {"pool_stride": pool_stride, "activation": activation}
    net = drawn(CNN(image_size=33, channels=[2, 3], pool_size=pool_size, pooling=pooling, **shape, **after))
    x = image.energy
    for convolution in (net.blocks[0], net.blocks[3]):
        x = functional.conv2d(x, convolution.weight, convolution.bias, stride=stride, padding=padding)
        x = POOLINGS[pooling](getattr(functional, activation)(x), pool_size, pool_stride)
    expected = x.flatten(1) @ net.linear.weight.T + net.linear.bias
    assert_equal_with_gradients(net(image), expected, image.energy, *net.parameters())


def test_average_pooling_keeps_the_sum_that_max_pooling_loses():
    torch.manual_seed(1)
    settings = {"image_size": 8, "channels": [1], "kernel_size": 1, "stride": 1, "padding": 0, "pool_size": 8}
    one, two = torch.zeros(2, 1, 1, 8, 8).unbind()
    one[..., 3, 3] = two[..., 3, 3] = two[..., 5, 5] = 1.0
    for pooling, differs in (("max", False), ("average", True)):
        net = CNN(pooling=pooling, **settings)
        net.blocks[0].weight.data.fill_(1.0)
        assert (net(Image(energy=one)) != net(Image(energy=two))).any() == differs


def test_an_image_that_the_poolings_use_up_is_refused():
    with pytest.raises(ValueError, match="3 convolutions and poolings leave nothing of a 2 x 2 image"):
        CNN(image_size=2, channels=[2, 4, 8], kernel_size=2, stride=1, padding=1, pool_size=3)


def test_an_unknown_pooling_is_refused():
    with pytest.raises(ValueError, match="pooling=median: max or average is expected"):
        CNN(image_size=8, channels=[1], kernel_size=1, stride=1, padding=0, pool_size=2, pooling="median")
