"""The graph network is algorithm 1, edge by edge, node by node, event by event."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from cdmtrain.batch import Graph
from cdmtrain.model.graph_network import GraphNetwork

WIDTH = 8
OVER = {"sum": lambda x: x.sum(0), "mean": lambda x: x.mean(0), "max": lambda x: x.amax(0)}


def formula(net: GraphNetwork, graph: Graph, aggregation: str) -> Tensor:
    source, target = graph.edge_index.tolist()
    event = graph.event.tolist()
    w = dict(net.named_parameters())

    def rho(rows: list[Tensor]) -> Tensor:
        return OVER[aggregation](torch.stack(rows)) if rows else graph.feature.new_zeros(WIDTH)

    def second_layer(x: Tensor, name: str, first: int) -> Tensor:
        x = w[f"{name}.{first}.weight"] @ x.clamp(min=0) + w[f"{name}.{first}.bias"]
        return functional.layer_norm(x, (WIDTH,), w[f"{name}.{first + 1}.weight"], w[f"{name}.{first + 1}.bias"])

    def phi(name: str, x: Tensor) -> Tensor:
        return second_layer(w[f"{name}.0.weight"] @ x + w[f"{name}.0.bias"], name, 2)

    def phi_e(block: str, e: Tensor, receiver: Tensor, sender: Tensor) -> Tensor:
        parts = [w[f"{block}.{part}.weight"] for part in ("of_edge", "of_ends.target", "of_ends.source")]
        hidden = torch.cat(parts, dim=1) @ torch.cat([e, receiver, sender]) + w[f"{block}.of_ends.target.bias"]
        return second_layer(hidden, f"{block}.phi_e", 1)

    e, v, u = list(graph.edge_feature), list(graph.feature), [graph.feature.new_zeros(0)] * graph.num_events
    edges, nodes, events = range(len(e)), range(len(v)), range(graph.num_events)
    for number in range(len(net.blocks)):
        block = f"blocks.{number}"
        end = [torch.cat([v[i], u[event[i]]]) for i in nodes]
        new_e = [phi_e(block, e[k], end[target[k]], end[source[k]]) for k in edges]
        received = [rho([new_e[k] for k in edges if target[k] == i]) for i in nodes]
        new_v = [phi(f"{block}.phi_v", torch.cat([received[i], v[i], u[event[i]]])) for i in nodes]
        of_edges = [rho([new_e[k] for k in edges if event[target[k]] == n]) for n in events]
        of_nodes = [rho([new_v[i] for i in nodes if event[i] == n]) for n in events]
        new_u = [phi(f"{block}.phi_u", torch.cat([of_edges[n], of_nodes[n], u[n]])) for n in events]
        if number > 0:
            new_e = [old + new for old, new in zip(e, new_e, strict=True)]
            new_v = [old + new for old, new in zip(v, new_v, strict=True)]
            new_u = [old + new for old, new in zip(u, new_u, strict=True)]
        e, v, u = new_e, new_v, new_u
    return torch.stack(u) @ net.linear.weight.T + net.linear.bias


@pytest.mark.parametrize("aggregation", OVER)
def test_logits_and_gradients_are_those_of_the_formula(graph, drawn, assert_equal_with_gradients, aggregation):
    net = drawn(GraphNetwork(width=WIDTH, depth=3, aggregation=aggregation, num_features=3, num_edge_features=2))
    leaves = graph.feature, graph.edge_feature, *net.parameters()
    assert_equal_with_gradients(net(graph), formula(net, graph, aggregation), *leaves)


@pytest.mark.parametrize("aggregation", OVER)
def test_logits_do_not_depend_on_how_nodes_are_numbered(graph, renumbered, aggregation):
    torch.manual_seed(1)
    net = GraphNetwork(width=8, depth=2, aggregation=aggregation, num_features=3, num_edge_features=2).double()
    torch.testing.assert_close(net(renumbered), net(graph))


def test_logits_depend_on_the_features_of_edges(graph):
    torch.manual_seed(1)
    net = GraphNetwork(width=8, depth=2, aggregation="mean", num_features=3, num_edge_features=2).double()
    longer = replace(graph, edge_feature=2 * graph.edge_feature)
    lit = graph.event[graph.edge_index[1]].unique()
    assert ((net(longer) - net(graph)).abs().amax(1)[lit] > 1e-5).all()


def test_edges_may_have_no_feature(graph):
    net = GraphNetwork(width=8, depth=2, aggregation="mean", num_features=3).double()
    assert net(replace(graph, edge_feature=graph.edge_feature[:, :0])).isfinite().all()


def test_impossible_settings_are_refused():
    with pytest.raises(ValueError, match="aggregation=median: one of sum, mean, max is expected"):
        GraphNetwork(width=8, depth=1, aggregation="median")
    with pytest.raises(ValueError, match="depth=0: at least one block is expected"):
        GraphNetwork(width=8, depth=0, aggregation="sum")
