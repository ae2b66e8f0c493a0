import pytest
import torch
from torch import nn

from cdmtrain.layers.one_pass import fits


def test_single_and_double_precision_with_a_relu_fit():
    assert fits(torch.zeros(4, 1), nn.ReLU())
    assert fits(torch.zeros(4, 1, dtype=torch.float64), nn.ReLU())


@pytest.mark.parametrize(("dtype", "activation"), [(torch.bfloat16, nn.ReLU()), (torch.float32, nn.GELU())])
def test_half_precision_and_other_activations_are_left_to_torch(dtype, activation):
    assert not fits(torch.zeros(4, 1, dtype=dtype), activation)


def test_mixed_precision_is_left_to_torch():
    with torch.autocast("cpu", torch.bfloat16):
        assert not fits(torch.zeros(4, 1), nn.ReLU())
