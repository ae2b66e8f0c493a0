"""The memory format changes how weights lie, not their values."""

import copy

import torch
from torch import nn

from cdmtrain.layers.channels_last import channels_last


def test_weights_lie_channel_by_channel_and_give_the_same_values(assert_equal_with_gradients):
    torch.manual_seed(1)
    plain = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 3)).double()
    net = channels_last(copy.deepcopy(plain))
    assert net[0].weight.is_contiguous(memory_format=torch.channels_last)
    assert not plain[0].weight.is_contiguous(memory_format=torch.channels_last)
    x = torch.randn(2, 3, 8, 8, dtype=torch.float64, requires_grad=True)
    assert_equal_with_gradients(net(x), plain(x), x)
