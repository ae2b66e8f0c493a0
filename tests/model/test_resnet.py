"""Residual networks have the published numbers of parameters, learn differences, commute with shifts by a stride."""

import pytest
import torch

from cdmtrain.batch import Image
from cdmtrain.model.resnet import Basic, Bottleneck, ResNet


@pytest.mark.parametrize(("depth", "published"), [(18, 11_689_512), (34, 21_797_672), (50, 25_557_032)])
def test_with_the_papers_stem_the_number_of_parameters_is_the_published_one(num_parameters, depth, published):
    with torch.device("meta"):  # shapes alone
        net = ResNet(depth=depth, width=64, stem_kernel=7, stem_stride=2, num_channels=3, num_classes=1000)
    assert num_parameters(net) == published


@pytest.mark.parametrize("Block", [Basic, Bottleneck])
def test_a_block_whose_convolutions_are_zero_is_the_identity_of_what_is_positive(Block):
    block = Block(4 if Block is Basic else 16, 4, stride=1).eval()
    for weight in block.residual.parameters():
        weight.data.zero_()
    x = torch.randn(2, block.outputs, 5, 5, generator=torch.Generator().manual_seed(1))
    assert torch.equal(block(x), x.relu())


@pytest.mark.parametrize("Block", [Basic, Bottleneck])
def test_a_block_with_stride_two_halves_the_resolution(Block):
    assert Block(4, 8, stride=2)(torch.zeros(1, 4, 9, 6)).shape == (1, 8 if Block is Basic else 32, 5, 3)


def test_places_before_the_mean_commute_with_shifts_by_their_stride():
    torch.manual_seed(1)
    net = ResNet(depth=18, blocks=[1, 1, 1, 1], width=4, stem_kernel=3, stem_stride=1).eval()  # biases are zero yet
    energy = torch.zeros(1, 1, 256, 256)
    energy[..., 120:136, 120:136] = torch.rand(16, 16)
    features = net.stages(net.stem(energy))
    moved = net.stages(net.stem(energy.roll((16, -32), dims=(2, 3))))  # a pooling and three strides: 16 pixels a place
    torch.testing.assert_close(moved, features.roll((1, -2), dims=(2, 3)), rtol=1e-4, atol=1e-5)  # float32 sums
    assert (net.stages(net.stem(energy.roll(8, dims=2))) - features).abs().max() > 1e-3


def test_blocks_take_the_place_of_the_papers(num_parameters):
    small, paper = (ResNet(depth=18, blocks=b, width=4, stem_kernel=3, stem_stride=1) for b in ([1, 1, 1, 1], None))
    assert [len(net.stages) for net in (small, paper)] == [4, 8]
    assert small.eval()(Image(energy=torch.zeros(2, 1, 8, 8))).shape == (2, 4)


def test_a_depth_that_the_paper_has_not_is_refused():
    with pytest.raises(
        ValueError, match=r"depth=19: one of 18, 34, 50, 101, 152 is expected; blocks sets other depths"
    ):
        ResNet(depth=19, width=4, stem_kernel=3, stem_stride=1)
