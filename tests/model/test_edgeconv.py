"""EdgeConv is torch_geometric's on the same edges; nearest nodes are those a search of all pairs finds."""

from dataclasses import replace

import pytest
import torch
import torch_geometric.nn
from torch import nn
from torch_geometric.utils import add_self_loops

import cdmtrain.model.edgeconv
from cdmtrain.model.edgeconv import EdgeConv, nearest

FLOAT32_SUMS = {"rtol": 1e-4, "atol": 1e-5}  # the same numbers added in another order


def new(*, depth: int = 3, dynamic: bool = False) -> EdgeConv:
    torch.manual_seed(1)
    return EdgeConv(width=8, depth=depth, dynamic=dynamic, k=4, num_features=3)


def test_a_step_is_that_of_torch_geometric(graph):
    net = new(depth=1)
    edges, _ = add_self_loops(graph.edge_index, num_nodes=len(graph.feature))
    first, target, source = nn.Linear(6, 8), net.pairs[0].target, net.pairs[0].source
    reference = torch_geometric.nn.EdgeConv(nn.Sequential(first, net.h[0]), aggr="max")  # which draws its weights anew
    first.weight.data = torch.cat([target.weight + source.weight, source.weight], dim=1)  # of x_i and x_j - x_i
    first.bias.data = target.bias
    x = net.norms[0](reference(graph.feature, edges)).relu()
    size = {"size": graph.num_events}
    mean, largest = (
        pool(x, graph.event, **size)
        for pool in (torch_geometric.nn.global_mean_pool, torch_geometric.nn.global_max_pool)
    )
    torch.testing.assert_close(net(graph), net.linear(torch.cat([mean, largest], dim=1)), **FLOAT32_SUMS)


@pytest.mark.parametrize("most_pairs", [20_000_000, 40])
@pytest.mark.parametrize("k", [1, 4, 1000])
def test_nearest_nodes_are_those_of_all_pairs(graph, monkeypatch, k, most_pairs):
    monkeypatch.setattr(cdmtrain.model.edgeconv, "MOST_PAIRS", most_pairs)
    x = torch.randn(len(graph.event), 5, generator=torch.Generator().manual_seed(1))
    expected = set()
    for node, event in enumerate(graph.event.tolist()):
        inside = (graph.event == event).nonzero().squeeze(1)
        near = inside[(x[inside] - x[node]).norm(dim=1).argsort()[:k]]
        expected |= {(int(other), node) for other in near}
    edges = nearest(x, graph.event, graph.num_events, k)
    assert edges.shape[1] == len(expected)
    assert set(map(tuple, edges.T.tolist())) == expected


@pytest.mark.parametrize("dynamic", [False, True])
def test_logits_do_not_depend_on_how_nodes_are_numbered(graph, dynamic):
    net = new(dynamic=dynamic)
    order = torch.cat([(graph.event == event).nonzero().squeeze(1).flip(0) for event in range(graph.num_events)])
    edges = order.argsort()[graph.edge_index]
    other = replace(graph, feature=graph.feature[order], edge_index=edges)  # a node stays in its event
    torch.testing.assert_close(net(other), net(graph), **FLOAT32_SUMS)


def test_dynamic_neighbours_are_not_those_of_the_representation(graph):
    fixed, dynamic = new(), new(dynamic=True)
    dynamic.load_state_dict(fixed.state_dict())
    assert ((fixed(graph) - dynamic(graph)).abs().amax(1) > 1e-4).any()


def test_no_neighbour_is_refused():
    with pytest.raises(ValueError, match="k=0: at least 1 neighbour is expected"):
        EdgeConv(width=8, depth=1, dynamic=True, k=0)
