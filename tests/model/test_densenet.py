"""DenseNet has the published number of parameters, and each of its layers keeps what it was given."""

import torch

from cdmtrain.model.densenet import DenseLayer, DenseNet


def test_densenet_121_has_the_published_number_of_parameters(num_parameters):
    with torch.device("meta"):  # shapes alone
        net = DenseNet(
            growth=32,
            blocks=[6, 12, 24, 16],
            width=64,
            stem_kernel=7,
            stem_stride=2,
            num_channels=3,
            num_classes=1000,
        )
    assert num_parameters(net) == 7_978_856


def test_a_layer_adds_channels_and_leaves_those_before_it():
    x = torch.randn(2, 6, 5, 5, generator=torch.Generator().manual_seed(1))
    y = DenseLayer(6, growth=3)(x)
    assert y.shape == (2, 9, 5, 5)
    assert torch.equal(y[:, :6], x)


def test_places_before_the_mean_commute_with_shifts_by_their_stride():
    torch.manual_seed(1)
    net = DenseNet(growth=4, blocks=[1, 2], width=4, stem_kernel=3, stem_stride=1).eval()  # biases are zero yet
    energy = torch.zeros(1, 1, 64, 64)
    energy[..., 24:40, 24:40] = torch.rand(16, 16)
    features = net.layers(energy)
    moved = net.layers(energy.roll((4, -8), dims=(2, 3)))  # a pooling and a transition: 4 pixels a place
    torch.testing.assert_close(moved, features.roll((1, -2), dims=(2, 3)), rtol=1e-4, atol=1e-5)  # float32 sums
    assert (net.layers(energy.roll(2, dims=2)) - features).abs().max() > 1e-3
