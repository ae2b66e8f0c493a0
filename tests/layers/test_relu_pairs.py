import torch

from cdmtrain.layers.relu_pairs import relu_pair_sum, relu_pairs


def drawn():
    """Two numbers of 9 nodes each, and 40 edges, none of which leads to the last node."""
    generator = torch.Generator().manual_seed(1)
    nodes = [torch.randn(9, 5, generator=generator, dtype=torch.float64, requires_grad=True) for _ in range(2)]
    return *nodes, torch.randint(8, (2, 40), generator=generator)


def test_pairs_and_gradients_are_those_of_torchs_operations(assert_equal_with_gradients):
    a, b, edges = drawn()
    assert_equal_with_gradients(relu_pairs(a, b, edges), (a[edges[1]] + b[edges[0]]).relu(), a, b)


def test_sums_and_gradients_are_those_of_torchs_operations(assert_equal_with_gradients):
    a, b, edges = drawn()
    expected = torch.zeros_like(a).index_add(0, edges[1], (a[edges[1]] + b[edges[0]]).relu())
    assert_equal_with_gradients(relu_pair_sum(a, b, edges), expected, a, b)


def test_a_number_that_is_none_stays_none():
    a, b, edges = torch.tensor([[1.0], [float("nan")]]), torch.ones(2, 1), torch.tensor([[0, 0], [0, 1]])
    for found in (relu_pairs(a, b, edges), relu_pair_sum(a, b, edges)):
        assert found[0] == 2
        assert found[1].isnan()
