"""The reordered products are PyG's convolutions followed by a mean over nodes."""

from dataclasses import replace

import pytest
import torch
from torch_geometric.nn import GCNConv, global_mean_pool

from cdmtrain.batch import Graph
from cdmtrain.benchmark.cost import flops
from cdmtrain.layers.gcn_mean import gcn_mean

NUM_NODES, NUM_EVENTS = 40, 5


def random_graph(num_features: int, *, directed: bool) -> Graph:
    """Return events of 10, 19, 0, 10 and 1 nodes with random edges inside events."""
    generator = torch.Generator().manual_seed(1)
    event = torch.arange(NUM_EVENTS).repeat_interleave(torch.tensor([10, 19, 0, 10, 1]))
    adjacency = torch.rand(NUM_NODES, NUM_NODES, generator=generator) < 0.3
    adjacency = adjacency if directed else adjacency | adjacency.T
    adjacency &= (event == event.unsqueeze(1)) & ~torch.eye(NUM_NODES, dtype=torch.bool)
    edges = adjacency.nonzero().T
    feature = torch.randn(NUM_NODES, num_features, generator=generator, dtype=torch.float64, requires_grad=True)
    edge_feature = torch.zeros(edges.shape[1], 0, dtype=torch.float64)
    return Graph(feature=feature, edge_index=edges, edge_feature=edge_feature, event=event, num_events=NUM_EVENTS)


@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("num_features", [1, 3])
@pytest.mark.parametrize("directed", [False, True])
def test_values_and_gradients_are_those_of_pyg(depth, num_features, directed, assert_equal_with_gradients):
    torch.manual_seed(1)
    layers = torch.nn.ModuleList(GCNConv(6 if number else num_features, 6) for number in range(depth)).double()
    for layer in layers:
        torch.nn.init.normal_(layer.bias)  # initially zero, which would hide where it is added
    graph = random_graph(num_features, directed=directed)
    x = graph.feature
    for number, layer in enumerate(layers):
        x = layer(x.relu() if number else x, graph.edge_index)
    expected = global_mean_pool(x, graph.event, size=NUM_EVENTS)
    assert_equal_with_gradients(gcn_mean(layers, graph, torch.nn.ReLU()), expected, graph.feature, *layers.parameters())


@pytest.mark.parametrize("depth", [1, 2])
def test_self_loops_of_the_graph_are_those_that_every_node_has(depth):
    torch.manual_seed(1)
    layers = torch.nn.ModuleList(GCNConv(6 if number else 3, 6) for number in range(depth)).double()
    graph = random_graph(3, directed=False)
    loops = torch.tensor([0, 3, 3, 17, NUM_NODES - 1])  # one of them twice

    def with_loops(nodes):
        edges = torch.cat([graph.edge_index, torch.stack([nodes, nodes])], dim=1)
        return replace(graph, edge_index=edges, edge_feature=graph.edge_feature.new_zeros(edges.shape[1], 0))

    looped, once = with_loops(loops), with_loops(loops.unique())
    x = graph.feature
    for number, layer in enumerate(layers):
        x = layer(x.relu() if number else x, once.edge_index)
    expected = global_mean_pool(x, graph.event, size=NUM_EVENTS)
    for one in (looped, once, graph):
        torch.testing.assert_close(gcn_mean(layers, one, torch.nn.ReLU()), expected)


def test_all_products_of_matrices_are_counted():
    layers = torch.nn.ModuleList([GCNConv(1, 6), GCNConv(6, 6)]).double()
    graph = random_graph(1, directed=False)
    forward, _ = flops(lambda: gcn_mean(layers, graph, torch.nn.ReLU()))
    assert forward == 2 * NUM_NODES * 1 * 6 + 2 * NUM_EVENTS * 6 * 6
