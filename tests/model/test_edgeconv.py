"""EdgeConv is its formula, node by node."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from cdmtrain.batch import Graph
from cdmtrain.model.edgeconv import EdgeConv

WIDTH, K = 8, 4


def make_net(*, dynamic: bool) -> EdgeConv:
    torch.manual_seed(1)
    return EdgeConv(width=WIDTH, depth=3, dynamic=dynamic, k=K, num_features=3)


def formula(net: EdgeConv, graph: Graph, *, dynamic: bool) -> Tensor:
    """Equation 7, with h a function of x_i and x_j - x_i; the network's weights are those of x_i and x_j."""
    w = dict(net.named_parameters())

    def h(step: int, x: Tensor, i: int, j: int) -> Tensor:
        of_i, of_j = w[f"pairs.{step}.target.weight"], w[f"pairs.{step}.source.weight"]
        hidden = (of_i + of_j) @ x[i] + of_j @ (x[j] - x[i]) + w[f"pairs.{step}.target.bias"]
        return w[f"h.{step}.1.weight"] @ hidden.clamp(min=0) + w[f"h.{step}.1.bias"]

    def neighbours(step: int, x: Tensor, i: int) -> list[int]:
        if not (dynamic and step):
            return [i, *graph.edge_index[0][graph.edge_index[1] == i].tolist()]
        inside = (graph.event == graph.event[i]).nonzero().squeeze(1)
        return inside[(x[inside] - x[i]).norm(dim=1).argsort()[:K]].tolist()

    x, steps = graph.feature, []
    for step in range(3):
        rows = [torch.stack([h(step, x, i, j) for j in neighbours(step, x, i)]).amax(0) for i in range(len(x))]
        norm = w[f"norms.{step}.weight"], w[f"norms.{step}.bias"]
        x = functional.layer_norm(torch.stack(rows), (WIDTH,), *norm).clamp(min=0)
        steps.append(x)
    nodes, pooled = torch.cat(steps, dim=1), []
    for event in range(graph.num_events):
        own = nodes[graph.event == event]
        pooled.append(torch.cat([own.mean(0), own.amax(0)]) if len(own) else nodes.new_zeros(6 * WIDTH))
    hidden = torch.stack(pooled) @ w["linear.0.weight"].T + w["linear.0.bias"]
    return hidden.clamp(min=0) @ w["linear.2.weight"].T + w["linear.2.bias"]


@pytest.mark.parametrize("dynamic", [False, True])
def test_logits_and_gradients_are_those_of_the_formula(graph, drawn, assert_equal_with_gradients, dynamic):
    net = drawn(make_net(dynamic=dynamic))
    expected = formula(net, graph, dynamic=dynamic)
    assert_equal_with_gradients(net(graph), expected, graph.feature, *net.parameters())


@pytest.mark.parametrize("dynamic", [False, True])
def test_logits_do_not_depend_on_how_nodes_are_numbered(graph, dynamic):
    net = make_net(dynamic=dynamic).double()
    order = torch.cat([(graph.event == event).nonzero().squeeze(1).flip(0) for event in range(graph.num_events)])
    edges = order.argsort()[graph.edge_index]
    other = replace(graph, feature=graph.feature[order], edge_index=edges)  # a node stays in its event
    torch.testing.assert_close(net(other), net(graph))


def test_dynamic_neighbours_are_not_those_of_the_representation(graph):
    fixed, dynamic = make_net(dynamic=False).double(), make_net(dynamic=True).double()
    dynamic.load_state_dict(fixed.state_dict())
    assert ((fixed(graph) - dynamic(graph)).abs().amax(1) > 1e-4).any()


def test_no_neighbour_is_refused():
    with pytest.raises(ValueError, match="k=0: at least 1 neighbour is expected"):
        EdgeConv(width=8, depth=1, dynamic=True, k=0)
