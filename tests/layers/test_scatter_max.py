import torch
from torch_geometric.utils import scatter

from cdmtrain.layers.scatter_max import scatter_max


def test_values_and_gradients_are_those_of_pyg(assert_equal_with_gradients):
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(40, 5, generator=generator, dtype=torch.float64, requires_grad=True)
    index = torch.randint(8, (40,), generator=generator)
    expected = scatter(x, index, dim_size=9, reduce="max")
    assert (expected[8] == 0).all()  # no row belongs to it
    assert_equal_with_gradients(scatter_max(x, index, 9), expected, x)


def test_the_first_of_equal_numbers_gets_the_gradient():
    x = torch.ones(3, 1, requires_grad=True)
    scatter_max(x, torch.zeros(3, dtype=torch.int64), 1).sum().backward()
    assert x.grad is not None
    assert x.grad.view(-1).tolist() == [1, 0, 0]


def test_a_number_that_is_none_stays_none():
    x = torch.tensor([[1.0], [float("nan")], [2.0]])
    assert scatter_max(x, torch.zeros(3, dtype=torch.int64), 1).isnan()
