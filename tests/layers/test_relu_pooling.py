import pytest
import torch

from cdmtrain.layers.relu_pooling import relu_pooling


def by_hand(x, weight, bias, factor, event, num_events):
    activated = factor.unsqueeze(1) * (x @ weight.T + bias).relu()
    return x.new_zeros(num_events, len(bias)).index_add(0, event, activated)


@pytest.mark.parametrize("num_features", [1, 3])
def test_values_and_gradients_are_those_of_torchs_operations(num_features, assert_equal_with_gradients):
    generator = torch.Generator().manual_seed(1)
    shapes = (30, num_features), (5, num_features), (5,)
    inputs = [torch.randn(s, generator=generator, dtype=torch.float64, requires_grad=True) for s in shapes]
    factor = torch.rand(30, generator=generator, dtype=torch.float64)
    event = torch.tensor([0, 2, 3]).repeat_interleave(torch.tensor([12, 17, 1]))
    found, expected = (f(*inputs, factor, event, 4) for f in (relu_pooling, by_hand))
    assert_equal_with_gradients(found, expected, *inputs)


def test_a_number_that_is_none_stays_none():
    x, one = torch.tensor([[1.0], [float("nan")]]), torch.ones(1)
    pooled = relu_pooling(x, one.view(1, 1), one, torch.ones(2), torch.tensor([0, 1]), 2)
    assert pooled[0] == 2
    assert pooled[1].isnan()
