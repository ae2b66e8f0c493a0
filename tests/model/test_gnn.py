"""The graph network is PyG's layers one after another, whatever the order of its products."""

import pytest
import torch
from torch import Tensor
from torch_geometric.nn import GCNConv, global_mean_pool

from cdmtrain.batch import Graph
from cdmtrain.model.gnn import GNN

NUM_NODES, NUM_EVENTS = 40, 5


def random_graph(num_features: int, *, directed: bool) -> Graph:
    """Five events of eight nodes but the third, which has none, with random edges inside events."""
    generator = torch.Generator().manual_seed(1)
    event = torch.arange(NUM_EVENTS - 1).repeat_interleave(NUM_NODES // (NUM_EVENTS - 1))
    event += event >= 2
    adjacency = torch.rand(NUM_NODES, NUM_NODES, generator=generator) < 0.3
    adjacency = adjacency if directed else adjacency | adjacency.T
    adjacency &= (event == event.unsqueeze(1)) & ~torch.eye(NUM_NODES, dtype=torch.bool)
    edges = adjacency.nonzero().T
    feature = torch.randn(NUM_NODES, num_features, generator=generator, dtype=torch.float64)
    return Graph(
        feature=feature,
        edge_index=edges,
        edge_feature=feature.new_zeros(edges.shape[1], 0),
        event=event,
        num_events=NUM_EVENTS,
    )


def layer_by_layer(net: GNN, graph: Graph) -> Tensor:
    """What PyG computes with the network's own layers."""
    x = graph.feature
    for number, convolution in enumerate(net.convolutions):
        x = convolution(x if number == 0 else x.relu(), graph.edge_index)
    return net.linear(global_mean_pool(x, graph.event, size=graph.num_events))


@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("num_features", [1, 3])
@pytest.mark.parametrize("directed", [False, True])
def test_logits_and_gradients_are_those_of_pyg(depth, num_features, directed):
    torch.manual_seed(1)
    net = GNN(width=6, depth=depth, num_features=num_features).double()
    for convolution in net.convolutions:
        torch.nn.init.normal_(convolution.bias)  # zeros at first, which would hide where it is added
    graph = random_graph(num_features, directed=directed)
    found, expected = [], []
    for logits, gradients in ((net(graph), found), (layer_by_layer(net, graph), expected)):
        gradients += [logits, *torch.autograd.grad(logits.square().sum(), list(net.parameters()))]
    for mine, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-10, atol=1e-12)  # double precision, another order of sums


def test_parameters_are_those_of_pyg_by_name_and_by_seed():
    torch.manual_seed(1)
    net = GNN(width=6, depth=2)
    torch.manual_seed(1)
    layers = torch.nn.ModuleList([GCNConv(1, 6), GCNConv(6, 6)])
    mine = net.convolutions.state_dict()
    assert mine.keys() == layers.state_dict().keys()
    assert all(torch.equal(mine[name], value) for name, value in layers.state_dict().items())
