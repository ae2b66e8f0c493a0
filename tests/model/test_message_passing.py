"""A step of message passing is the lecture's sum, node by node."""

import pytest
import torch
from torch_geometric.utils import scatter

from cdmtrain.model import message_passing
from cdmtrain.model.message_passing import MessagePassing

FLOAT32_SUMS = {"rtol": 1e-4, "atol": 1e-5}  # the same numbers added in another order
OVER = {"sum": lambda m: m.sum(0), "mean": lambda m: m.mean(0), "max": lambda m: m.amax(0)}


@pytest.mark.parametrize("aggregation", OVER)
def test_a_step_is_the_sum_of_messages_from_neighbours_and_itself(graph, aggregation):
    torch.manual_seed(1)
    net = MessagePassing(width=8, depth=1, aggregation=aggregation, num_features=3)
    rows = []
    for node, v in enumerate(graph.feature):
        near = [*graph.edge_index[0][graph.edge_index[1] == node].tolist(), node]
        first = net.pairs[0]
        hidden = [first.target(v) + first.source(graph.feature[j]) for j in near]
        messages = torch.stack([net.messages[0](one) for one in hidden])
        rows.append(net.norms[0](OVER[aggregation](messages)).relu())
    h = torch.stack(rows)
    mean = torch.stack([h[graph.event == n].mean(0) if (graph.event == n).any() else 0 * h[0] for n in range(6)])
    torch.testing.assert_close(net(graph), net.linear(mean), **FLOAT32_SUMS)


@pytest.mark.parametrize("aggregation", OVER)
def test_logits_do_not_depend_on_how_nodes_are_numbered(graph, renumbered, aggregation):
    torch.manual_seed(1)
    net = MessagePassing(width=8, depth=3, aggregation=aggregation, num_features=3)
    torch.testing.assert_close(net(renumbered), net(graph), **FLOAT32_SUMS)


def test_messages_are_added_in_float32_whatever_the_precision(graph, monkeypatch):
    net, precisions = MessagePassing(width=8, depth=2, aggregation="sum", num_features=3), []
    monkeypatch.setattr(
        message_passing, "scatter", lambda x, *more, **how: (precisions.append(x.dtype), scatter(x, *more, **how))[1]
    )
    with torch.autocast("cpu", torch.bfloat16):
        net(graph)
    assert set(precisions) == {torch.float32}  # a GPU adds in the type of the messages: ones in bfloat16 add up to 256


def test_an_unknown_aggregation_is_refused():
    with pytest.raises(ValueError, match="aggregation=median: one of sum, mean, max is expected"):
        MessagePassing(width=8, depth=1, aggregation="median")
