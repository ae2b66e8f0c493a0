"""AlexNet has the published layers, weight for weight."""

import pytest
import torch

from cdmtrain.batch import Image
from cdmtrain.model.alexnet import AlexNet


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
    with pytest.raises(ValueError, match="nothing of a 66 x 66 image; it needs 67 x 67"):
        AlexNet(image_size=66, hidden=2, dropout=0.0)
