"""Message passing with a learned message (Gilmer 2017, arXiv:1704.01212, eq. 1 to 3), as the lecture writes it.

Notable choices:
- the message is an MLP of the features of both nodes, with its own weights in each step;
- as the lecture has it, a node forgets itself, and nothing follows the sum; `self_messages`, `layer_norm` and
  `activated` change that, and `experiment=zoo_message_passing` turns all three on.

Differences from the paper: messages do not depend on features of edges; the update of a node, U_t, is the aggregated
message alone, not a recurrent unit; the readout is the mean over nodes.
"""

from collections.abc import Iterable
from functools import partial
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional
from torch_geometric.utils import add_self_loops, degree, scatter

from cdmtrain.batch import Graph
from cdmtrain.layers.activation import make_activation
from cdmtrain.layers.one_pass import fits
from cdmtrain.layers.pair_linear import PairLinear
from cdmtrain.layers.relu_pairs import relu_pair_sum
from cdmtrain.layers.scatter_max import scatter_max

AGGREGATIONS = ("sum", "mean", "max")
Nodes = Float[Tensor, "node feature"]
Messages = Float[Tensor, "node width"]
Edges = Int[Tensor, "2 edge"]


class MessagePassing(nn.Module):
    """h_i = sum_j phi(h_i, h_j), `depth` times; the mean of h over the nodes of each event; one linear layer.

    phi is an MLP of two linear layers. The sum (or mean, or maximum) is over the neighbours j of i; it is zero for a
    node without one. An event without a node has a mean of zeros.

    Args:
        width: features of a node after each step, and of the hidden layer of phi.
        depth: number of steps.
        aggregation: sum, mean or max of the messages to a node.
        self_messages: each node also sends a message to itself, so that a lone pixel is not forgotten.
        layer_norm: layer normalisation (arXiv:1607.06450) follows each sum.
        activated: the activation follows each sum, after the normalisation.
        activation: of phi: relu, gelu, silu, tanh or sigmoid.
        num_features: features of a node as the representation gives them.
        num_classes: number of logits C.

    Shapes: Graph of B events, feature (N, F), edge_index (2, E) -> (B, C).
    """

    ignores: ClassVar = ("edge_features",)

    def __init__(
        self,
        *,
        width: int,
        depth: int,
        aggregation: str,
        self_messages: bool,
        layer_norm: bool,
        activated: bool,
        activation: str = "relu",
        num_features: int = 1,
        num_classes: int = 4,
    ) -> None:
        super().__init__()
        if aggregation not in AGGREGATIONS:
            raise ValueError(f"aggregation={aggregation}: one of {', '.join(AGGREGATIONS)} is expected")
        self.aggregation, self.self_messages = aggregation, self_messages
        widths = [num_features] + depth * [width]
        self.pairs = nn.ModuleList(PairLinear(inputs, width) for inputs in widths[:-1])
        self.messages = nn.ModuleList(
            nn.Sequential(make_activation(activation), nn.Linear(width, width)) for _ in widths[1:]
        )
        self.norms = nn.ModuleList(nn.LayerNorm(width) if layer_norm else nn.Identity() for _ in widths[1:])
        self.update = make_activation(activation) if activated else nn.Identity()
        self.linear = nn.Linear(widths[-1], num_classes)

    def forward(self, graph: Graph) -> Float[Tensor, "event class"]:
        return self.linear(self.embed(graph))

    def embed(self, graph: Graph) -> Float[Tensor, "event feature"]:
        """The features of an event, from which the last layer computes its logits."""
        h = graph.feature
        edges = add_self_loops(graph.edge_index, num_nodes=len(h))[0] if self.self_messages else graph.edge_index
        aggregate = _maximum if self.aggregation == "max" else partial(_sum, mean=self.aggregation == "mean")
        steps: Iterable[Any] = zip(self.pairs, self.messages, self.norms, strict=True)
        for pair, (activation, linear), norm in steps:
            h = self.update(norm(aggregate(h, edges, pair, activation, linear)))
        return scatter(h, graph.event, dim_size=graph.num_events, reduce="mean")


def _maximum(h: Nodes, edges: Edges, pair: PairLinear, activation: nn.Module, linear: nn.Linear) -> Messages:
    """max_j phi(h_i, h_j) over the neighbours j of each node i."""
    return scatter_max(linear(activation(pair(h, edges))), edges[1], len(h))


def _sum(h: Nodes, edges: Edges, pair: PairLinear, activation: nn.Module, linear: nn.Linear, *, mean: bool) -> Messages:
    """sum_j phi(h_i, h_j), or its mean, over the neighbours j of each node i.

    The last layer of phi is linear, so it is applied to the sum, of which there are fewer than edges.
    """
    if fits(h, activation):
        total = relu_pair_sum(pair.target(h), pair.source(h), edges)
    else:
        hidden = activation(pair(h, edges))
        hidden = hidden.to(torch.promote_types(hidden.dtype, torch.float32))  # bfloat16 is too coarse to add in
        total = scatter(hidden, edges[1], dim_size=len(h), reduce="sum")
    number = degree(edges[1], len(h), dtype=total.dtype).unsqueeze(1)
    if mean:
        total, number = total / number.clamp(min=1), number.clamp(max=1)
    return functional.linear(total, linear.weight) + number * linear.bias
