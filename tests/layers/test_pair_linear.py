"""The linear layer on edges is the product with the features of both ends side by side."""

import torch

from cdmtrain.layers.pair_linear import PairLinear


def test_values_and_gradients_are_those_of_a_product_with_both_ends_side_by_side(assert_equal_with_gradients):
    torch.manual_seed(1)
    layer, x = PairLinear(3, 5).double(), torch.randn(6, 3, dtype=torch.float64, requires_grad=True)
    edges = torch.randint(0, 6, (2, 11))
    source, target = edges
    weight = torch.cat([layer.target.weight, layer.source.weight], dim=1)
    expected = torch.cat([x[target], x[source]], dim=1) @ weight.T + layer.target.bias
    assert_equal_with_gradients(layer(x, edges), expected, x, *layer.parameters())
