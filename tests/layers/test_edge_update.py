import pytest
import torch
from torch import nn

from cdmtrain.layers.edge_update import TILE, edge_update


def drawn(num_edges, width=5, features=3):
    """Numbers of 9 nodes, to the last of which no edge leads, edges with features, and three layers."""
    torch.manual_seed(1)
    of_target, of_source = (torch.randn(9, width, dtype=torch.float64, requires_grad=True) for _ in range(2))
    e = torch.randn(num_edges, features, dtype=torch.float64, requires_grad=True)
    layers = nn.Linear(features, width, bias=False), nn.Linear(width, width), nn.LayerNorm(width, eps=0.1)
    nn.init.normal_(layers[2].weight)
    nn.init.normal_(layers[2].bias)
    return of_target, of_source, e, torch.randint(8, (2, num_edges)), *(layer.double() for layer in layers)


def formula(of_target, of_source, e, edge_index, of_edge, linear, norm):
    source, target = edge_index
    updated = norm(linear((of_target[target] + of_source[source] + of_edge(e)).relu()))
    return updated, torch.zeros_like(of_target).index_add(0, target, updated)


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.mark.parametrize("width", [5, 16, 40])
@pytest.mark.parametrize("num_threads", [1, 3])
def test_edges_sums_and_gradients_are_those_of_torchs_operations(
    assert_equal_with_gradients, threads, num_threads, width
):
    inputs = drawn(2 * TILE + 7, width)
    threads(num_threads)
    leaves = *inputs[:3], *(weight for layer in inputs[4:] for weight in layer.parameters())
    found = torch.cat(edge_update(*inputs, keep_edges=True))
    assert_equal_with_gradients(found, torch.cat(formula(*inputs)), *leaves)


def test_sums_and_gradients_are_the_same_without_the_edges(assert_equal_with_gradients):
    inputs = drawn(40)
    leaves = *inputs[:3], *(weight for layer in inputs[4:] for weight in layer.parameters())
    edges, total = edge_update(*inputs, keep_edges=False)
    assert edges is None
    assert_equal_with_gradients(total, formula(*inputs)[1], *leaves)


def test_a_batch_may_have_no_edge():
    inputs = drawn(0)
    edges, total = edge_update(*inputs, keep_edges=True)
    (edges.sum() + total.sum()).backward()
    assert total.count_nonzero() == 0
    assert inputs[0].grad.count_nonzero() == 0


def test_a_number_that_is_none_reaches_the_target_of_its_edges_alone():
    inputs = drawn(40)
    inputs[2].data[3] = torch.nan
    _, total = edge_update(*inputs, keep_edges=False)
    assert total.isnan().any(1).nonzero().flatten().tolist() == [inputs[3][1, 3].item()]
