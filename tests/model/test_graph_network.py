"""A block of the graph network is algorithm 1, edge by edge, node by node, event by event."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from cdmtrain.batch import Graph
from cdmtrain.model.graph_network import Block, GraphNetwork

FLOAT32_SUMS = {"rtol": 1e-4, "atol": 1e-5}  # the same numbers added in another order
OVER = {"sum": lambda x: x.sum(0), "mean": lambda x: x.mean(0), "max": lambda x: x.amax(0)}


def over(aggregation: str, rows: Tensor) -> Tensor:
    return OVER[aggregation](rows) if len(rows) else torch.zeros(rows.shape[1])


def algorithm_1(block: Block, e: Tensor, v: Tensor, u: Tensor, graph: Graph, rho: str) -> tuple[Tensor, ...]:
    source, target = graph.edge_index
    ends = list(zip(source.tolist(), target.tolist(), strict=True))
    phi_e = nn.Sequential(nn.Linear(2 + 2 * (3 + 5), 8, bias=False), block.phi_e)  # of e, v_i and u, v_j and u
    first = block.of_edge, block.of_ends.target, block.of_ends.source
    phi_e[0].weight.data = torch.cat([part.weight for part in first], dim=1)
    phi_e[0].bias = block.of_ends.target.bias
    of_node = [torch.cat([v[i], u[n]]) for i, n in enumerate(graph.event.tolist())]
    new_e = torch.stack([phi_e(torch.cat([e[k], of_node[r], of_node[s]])) for k, (s, r) in enumerate(ends)])
    new_v = torch.stack(
        [block.phi_v(torch.cat([over(rho, new_e[target == i]), v[i], u[graph.event[i]]])) for i in range(len(v))]
    )
    events = range(graph.num_events)
    of_edges = [over(rho, new_e[graph.event[target] == n]) for n in events]
    of_nodes = [over(rho, new_v[graph.event == n]) for n in events]
    return new_e, new_v, torch.stack([block.phi_u(torch.cat([of_edges[n], of_nodes[n], u[n]])) for n in events])


@pytest.mark.parametrize("aggregation", OVER)
def test_a_block_is_algorithm_1(graph, aggregation):
    torch.manual_seed(1)
    block = Block(2, 3, 5, 8, aggregation)
    e, v, u = graph.edge_feature, graph.feature, torch.randn(graph.num_events, 5)
    expected = algorithm_1(block, e, v, u, graph, aggregation)
    for ours, by_hand in zip(block(e, v, u, graph), expected, strict=True):
        torch.testing.assert_close(ours, by_hand, **FLOAT32_SUMS)


@pytest.mark.parametrize("aggregation", OVER)
def test_logits_do_not_depend_on_how_nodes_are_numbered(graph, renumbered, aggregation):
    torch.manual_seed(1)
    net = GraphNetwork(width=8, depth=2, aggregation=aggregation, num_features=3, num_edge_features=2)
    torch.testing.assert_close(net(renumbered), net(graph), **FLOAT32_SUMS)


def test_logits_depend_on_the_features_of_edges(graph):
    torch.manual_seed(1)
    net = GraphNetwork(width=8, depth=2, aggregation="mean", num_features=3, num_edge_features=2)
    longer = replace(graph, edge_feature=2 * graph.edge_feature)
    lit = graph.event[graph.edge_index[1]].unique()
    assert ((net(longer) - net(graph)).abs().amax(1)[lit] > 1e-5).all()


def test_edges_without_a_feature_will_do(graph):
    net = GraphNetwork(width=8, depth=2, aggregation="mean", num_features=3)
    assert net(replace(graph, edge_feature=graph.edge_feature[:, :0])).isfinite().all()


def test_impossible_settings_are_refused():
    with pytest.raises(ValueError, match="aggregation=median: one of sum, mean, max is expected"):
        GraphNetwork(width=8, depth=1, aggregation="median")
    with pytest.raises(ValueError, match="depth=0: at least one block is expected"):
        GraphNetwork(width=8, depth=0, aggregation="sum")
