"""Message passing is its formula, node by node."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn import functional
from torch_geometric.utils import scatter

from cdmtrain.batch import Graph
from cdmtrain.model import message_passing
from cdmtrain.model.message_passing import MessagePassing

WIDTH = 8
OVER = {"sum": lambda m: m.sum(0), "mean": lambda m: m.mean(0), "max": lambda m: m.amax(0)}


ALL = {"self_messages": True, "layer_norm": True, "activated": True}
BARE = dict.fromkeys(ALL, False)


def formula(net: MessagePassing, graph: Graph, aggregation: str, settings: dict[str, bool]) -> Tensor:
    w = dict(net.named_parameters())
    h = graph.feature
    for step in range(len(net.pairs)):
        weight = torch.cat([w[f"pairs.{step}.target.weight"], w[f"pairs.{step}.source.weight"]], dim=1)
        rows = []
        for i in range(len(h)):
            near = [i] if settings["self_messages"] else []
            near += graph.edge_index[0][graph.edge_index[1] == i].tolist()
            hidden = [weight @ torch.cat([h[i], h[j]]) + w[f"pairs.{step}.target.bias"] for j in near]
            last = w[f"messages.{step}.1.weight"], w[f"messages.{step}.1.bias"]
            messages = [last[0] @ x.clamp(min=0) + last[1] for x in hidden]
            rows.append(OVER[aggregation](torch.stack(messages)) if messages else h.new_zeros(WIDTH))
        h = torch.stack(rows)
        if settings["layer_norm"]:
            h = functional.layer_norm(h, (WIDTH,), w[f"norms.{step}.weight"], w[f"norms.{step}.bias"])
        h = h.clamp(min=0) if settings["activated"] else h
    own = [h[graph.event == event] for event in range(graph.num_events)]
    mean = torch.stack([nodes.mean(0) if len(nodes) else h.new_zeros(WIDTH) for nodes in own])
    return mean @ net.linear.weight.T + net.linear.bias


@pytest.mark.parametrize("settings", [BARE, ALL, BARE | {"layer_norm": True}, BARE | {"self_messages": True}], ids=str)
@pytest.mark.parametrize("aggregation", OVER)
def test_logits_and_gradients_are_those_of_the_formula(
    graph, drawn, assert_equal_with_gradients, aggregation, settings
):
    net = drawn(MessagePassing(width=WIDTH, depth=2, aggregation=aggregation, num_features=3, **settings))
    expected = formula(net, graph, aggregation, settings)
    assert_equal_with_gradients(net(graph), expected, graph.feature, *net.parameters())


@pytest.mark.parametrize("aggregation", OVER)
def test_logits_do_not_depend_on_how_nodes_are_numbered(graph, renumbered, aggregation):
    torch.manual_seed(1)
    net = MessagePassing(width=8, depth=3, aggregation=aggregation, num_features=3, **BARE).double()
    torch.testing.assert_close(net(renumbered), net(graph))


def test_messages_are_added_in_float32_whatever_the_precision(graph, monkeypatch):
    net, precisions = MessagePassing(width=8, depth=2, aggregation="sum", num_features=3, **ALL), []
    monkeypatch.setattr(
        message_passing, "scatter", lambda x, *more, **how: (precisions.append(x.dtype), scatter(x, *more, **how))[1]
    )
    graph = replace(graph, feature=graph.feature.float(), edge_feature=graph.edge_feature.float())
    with torch.autocast("cpu", torch.bfloat16):
        net(graph)
    assert set(precisions) == {torch.float32}  # a GPU adds in the type of the messages: ones in bfloat16 add up to 256


def test_an_unknown_aggregation_is_refused():
    with pytest.raises(ValueError, match="aggregation=median: one of sum, mean, max is expected"):
        MessagePassing(width=8, depth=1, aggregation="median", **BARE)
