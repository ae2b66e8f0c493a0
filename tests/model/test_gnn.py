"""The graph network is PyG's layers; a convolution is its formula; how nodes are numbered is no matter."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch_geometric.nn import GCNConv, global_mean_pool

from cdmtrain.batch import Graph
from cdmtrain.model.gnn import CONVOLUTIONS, GNN, POOLINGS

NUM_NODES, NUM_EVENTS = 40, 5
FLOAT32_SUMS = {"rtol": 1e-4, "atol": 1e-5}  # the same numbers added in another order


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


def neighbours(graph: Graph, node: int) -> Tensor:
    return graph.edge_index[0][graph.edge_index[1] == node]


def by_hand(name: str, layer: torch.nn.Module, graph: Graph) -> Tensor:
    """The formulas of the module's docstring, one node after another."""
    x, rows = graph.feature, []
    for node in range(len(x)):
        near = neighbours(graph, node)
        both = torch.cat([near, torch.tensor([node])])
        if name == "gcn":
            degree = {other: len(neighbours(graph, other)) + 1 for other in both.tolist()}
            terms = [layer.lin(x[j]) / (degree[node] * degree[j]) ** 0.5 for j in both.tolist()]
            rows.append(sum(terms) + layer.bias)
        if name == "sage":
            mean = x[near].mean(0) if len(near) else torch.zeros(x.shape[1])
            rows.append(layer.lin_r(x[node]) + layer.lin_l(mean))
        if name == "gin":
            rows.append(layer.nn(x[node] + x[near].sum(0)))
        if name == "gat":
            z = layer.lin(x)
            score = (z[both] @ layer.att_src.flatten()) + (z[node] @ layer.att_dst.flatten())
            weight = torch.nn.functional.leaky_relu(score, 0.2).softmax(0)
            rows.append(weight @ z[both] + layer.bias)
    return torch.stack(rows)


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_a_convolution_is_its_formula(graph, name):
    torch.manual_seed(1)
    layer = CONVOLUTIONS[name](3, 8)
    torch.testing.assert_close(layer(graph.feature, graph.edge_index), by_hand(name, layer, graph), **FLOAT32_SUMS)


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("convolution", CONVOLUTIONS)
def test_logits_do_not_depend_on_how_nodes_are_numbered(graph, renumbered, convolution, pooling):
    torch.manual_seed(1)
    net = GNN(width=8, depth=3, convolution=convolution, pooling=pooling, num_features=3)
    torch.testing.assert_close(net(renumbered), net(graph), **FLOAT32_SUMS)
    torch.testing.assert_close(net(graph)[3], net.linear.bias, rtol=0, atol=0)  # an event without a node


def test_unknown_choices_are_refused():
    with pytest.raises(ValueError, match="convolution=cheb: one of gcn, sage, gin, gat is expected"):
        GNN(width=8, depth=1, convolution="cheb")
    with pytest.raises(ValueError, match="pooling=min: one of mean, max, sum is expected"):
        GNN(width=8, depth=1, pooling="min")


@pytest.mark.parametrize("convolution", CONVOLUTIONS)
def test_nodes_are_pooled_in_float32_whatever_the_precision(convolution):
    net, graph = GNN(width=6, depth=2, convolution=convolution, pooling="sum"), random_graph(1, directed=False)
    pool, precisions = net.pool, []
    net.pool = lambda x, *event, **size: (precisions.append(x.dtype), pool(x, *event, **size))[1]
    with torch.autocast("cpu", torch.bfloat16):
        net(replace(graph, feature=graph.feature.float(), edge_feature=graph.edge_feature.float()))
    assert precisions == [torch.float32]  # a GPU adds in the type of the nodes: ones in bfloat16 add up to 256
