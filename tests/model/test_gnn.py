"""The graph convolutional network is its formula, with every convolution and pooling."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch_geometric.nn import GCNConv

from cdmtrain.batch import Graph
from cdmtrain.model.gnn import CONVOLUTIONS, GNN, POOLINGS

OVER_NODES = {"mean": lambda x: x.mean(0), "max": lambda x: x.amax(0), "sum": lambda x: x.sum(0)}


def gcn(layer: nn.Module, x: Tensor, adjacency: Tensor) -> Tensor:
    """D^-1/2 (A + I) D^-1/2 X W + b."""
    with_self = adjacency + torch.eye(len(x), dtype=x.dtype)
    scale = with_self.sum(1).rsqrt().diag()
    return scale @ with_self @ scale @ x @ layer.lin.weight.T + layer.bias


def sage(layer: nn.Module, x: Tensor, adjacency: Tensor) -> Tensor:
    mean = adjacency @ x / adjacency.sum(1, keepdim=True).clamp(min=1)
    return x @ layer.lin_r.weight.T + mean @ layer.lin_l.weight.T + layer.lin_l.bias


def gin(layer: nn.Module, x: Tensor, adjacency: Tensor) -> Tensor:
    first, last = layer.nn[0], layer.nn[2]
    hidden = ((x + adjacency @ x) @ first.weight.T + first.bias).clamp(min=0)
    return hidden @ last.weight.T + last.bias


def gat(layer: nn.Module, x: Tensor, adjacency: Tensor) -> Tensor:
    z = x @ layer.lin.weight.T
    score = (z @ layer.att_dst.flatten()).unsqueeze(1) + z @ layer.att_src.flatten()
    score = torch.where(score > 0, score, 0.2 * score)
    weight = score.exp() * (adjacency + torch.eye(len(x), dtype=x.dtype))
    return weight / weight.sum(1, keepdim=True) @ z + layer.bias


FORMULAS = {"gcn": gcn, "sage": sage, "gin": gin, "gat": gat}


def formula(net: GNN, graph: Graph, convolution: str, pooling: str) -> Tensor:
    adjacency = graph.feature.new_zeros(len(graph.feature), len(graph.feature))
    adjacency[graph.edge_index[1], graph.edge_index[0]] = 1
    x = graph.feature
    for number, layer in enumerate(net.convolutions):
        x = FORMULAS[convolution](layer, x if number == 0 else x.clamp(min=0), adjacency)
    own = [x[graph.event == event] for event in range(graph.num_events)]
    pooled = torch.stack([OVER_NODES[pooling](nodes) if len(nodes) else x.new_zeros(x.shape[1]) for nodes in own])
    return pooled @ net.linear.weight.T + net.linear.bias


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("convolution", CONVOLUTIONS)
def test_logits_and_gradients_are_those_of_the_formula(graph, drawn, assert_equal_with_gradients, convolution, pooling):
    net = drawn(GNN(width=8, depth=3, convolution=convolution, pooling=pooling, num_features=3))
    expected = formula(net, graph, convolution, pooling)
    assert_equal_with_gradients(net(graph), expected, graph.feature, *net.parameters())


def test_parameters_are_those_of_pyg_by_name_and_by_seed():
    torch.manual_seed(1)
    net = GNN(width=6, depth=2)
    torch.manual_seed(1)
    layers = nn.ModuleList([GCNConv(1, 6), GCNConv(6, 6)])
    mine = net.convolutions.state_dict()
    assert mine.keys() == layers.state_dict().keys()
    assert all(torch.equal(mine[name], value) for name, value in layers.state_dict().items())


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("convolution", CONVOLUTIONS)
def test_logits_do_not_depend_on_how_nodes_are_numbered(graph, renumbered, convolution, pooling):
    torch.manual_seed(1)
    net = GNN(width=8, depth=3, convolution=convolution, pooling=pooling, num_features=3).double()
    torch.testing.assert_close(net(renumbered), net(graph))
    torch.testing.assert_close(net(graph)[3], net.linear.bias, rtol=0, atol=0)  # an event without a node


@pytest.mark.parametrize("convolution", CONVOLUTIONS)
def test_the_last_events_may_be_without_a_node(graph, convolution):
    net = GNN(width=4, depth=2, convolution=convolution, num_features=3).double()
    longer = replace(graph, num_events=graph.num_events + 2)
    logits = net(longer)
    torch.testing.assert_close(logits[: graph.num_events], net(graph), rtol=0, atol=0)
    torch.testing.assert_close(logits[-2:], net.linear.bias.expand(2, -1), rtol=0, atol=0)


def test_unknown_choices_are_refused():
    with pytest.raises(ValueError, match="convolution=cheb: one of gcn, sage, gin, gat is expected"):
        GNN(width=8, depth=1, convolution="cheb")
    with pytest.raises(ValueError, match="pooling=min: one of mean, max, sum is expected"):
        GNN(width=8, depth=1, pooling="min")


@pytest.mark.parametrize("convolution", CONVOLUTIONS)
def test_nodes_are_pooled_in_float32_whatever_the_precision(graph, convolution):
    net = GNN(width=6, depth=2, convolution=convolution, pooling="sum", num_features=3)
    pool, precisions = net.pool, []
    net.pool = lambda x, *event, **size: (precisions.append(x.dtype), pool(x, *event, **size))[1]
    with torch.autocast("cpu", torch.bfloat16):
        net(replace(graph, feature=graph.feature.float(), edge_feature=graph.edge_feature.float()))
    assert precisions == [torch.float32]  # a GPU adds in the type of the nodes: ones in bfloat16 add up to 256
