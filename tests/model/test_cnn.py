"""Every setting of the convolutional network is what it says."""

from collections.abc import Callable

import pytest
import torch
from torch import nn

from cdmtrain.batch import EventBatch, Image
from cdmtrain.model.cnn import CNN
from cdmtrain.representation.image import ImageRepresentation

POOLINGS = {"max": nn.MaxPool2d, "average": nn.AvgPool2d}


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize(("kernel_size", "stride", "padding", "pool_size"), [(2, 1, 1, 2), (5, 2, 0, 1), (3, 1, 2, 3)])
def test_logits_are_those_of_convolution_relu_and_pooling_in_turn(
    make_batch: Callable[..., EventBatch], pooling, kernel_size, stride, padding, pool_size
):
    torch.manual_seed(1)
    shape = {"kernel_size": kernel_size, "stride": stride, "padding": padding}
    net = CNN(image_size=48, channels=[2, 3], pool_size=pool_size, pooling=pooling, **shape)
    plain = nn.Sequential(
        *(nn.Conv2d(1, 2, **shape), nn.ReLU(), POOLINGS[pooling](pool_size)),
        *(nn.Conv2d(2, 3, **shape), nn.ReLU(), POOLINGS[pooling](pool_size)),
        *(nn.Flatten(), nn.LazyLinear(4)),
    )
    image = ImageRepresentation()(make_batch(5, image_size=48, empty=[2]))
    plain(image.energy)
    for ours, theirs in zip(net.parameters(), plain.parameters(), strict=True):
        theirs.data.copy_(ours)
    torch.testing.assert_close(net(image), plain(image.energy), rtol=1e-5, atol=1e-6)  # float32 sums in another order


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
