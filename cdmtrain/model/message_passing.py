"""Message passing with a learned message (Gilmer 2017, arXiv:1704.01212, eq. 1 to 3), as the lecture writes it.

Notable choices:
- the message is an MLP of the features of both nodes, with its own weights in each step;
- each node sends a message to itself, so a lone pixel is not forgotten.

Differences from the paper: messages do not depend on features of edges; the update of a node, U_t, is layer
normalisation (arXiv:1607.06450) and ReLU of the aggregated message alone, not a recurrent unit; the readout is the mean
over nodes.
"""

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch_geometric.utils import add_self_loops, scatter

from cdmtrain.batch import Graph
from cdmtrain.layers.pair_linear import PairLinear

AGGREGATIONS = ("sum", "mean", "max")


class MessagePassing(nn.Module):
    """h_i = ReLU(LN(sum_j phi(v_i, v_j))), `depth` times; the mean of h over the nodes of each event; one linear layer.

    phi is an MLP of two linear layers. The sum (or mean, or maximum) is over the neighbours j of i and i itself. An
    event without a node has a mean of zeros.

    Args:
        width: features of a node after each step, and of the hidden layer of phi.
        depth: number of steps.
        aggregation: sum, mean or max of the messages to a node.
        num_features: features of a node as the representation gives them.
        num_classes: number of logits C.

    Shapes: Graph of B events, feature (N, F), edge_index (2, E) -> (B, C).
    """

    ignores: ClassVar = ("edge_features",)

    def __init__(
        self, *, width: int, depth: int, aggregation: str, num_features: int = 1, num_classes: int = 4
    ) -> None:
        super().__init__()
        if aggregation not in AGGREGATIONS:
            raise ValueError(f"aggregation={aggregation}: one of {', '.join(AGGREGATIONS)} is expected")
        self.aggregation = aggregation
        widths = [num_features] + depth * [width]
        self.pairs = nn.ModuleList(PairLinear(inputs, width) for inputs in widths[:-1])
        self.messages = nn.ModuleList(nn.Sequential(nn.ReLU(), nn.Linear(width, width)) for _ in widths[1:])
        self.norms = nn.ModuleList(nn.LayerNorm(outputs) for outputs in widths[1:])
        self.linear = nn.Linear(widths[-1], num_classes)

    def forward(self, graph: Graph) -> Float[Tensor, "event class"]:
        h = graph.feature
        edges, _ = add_self_loops(graph.edge_index, num_nodes=len(h))
        for pair, rest, norm in zip(self.pairs, self.messages, self.norms, strict=True):
            message = rest(pair(h, edges))
            message = message.to(torch.promote_types(message.dtype, torch.float32))  # bfloat16 is too coarse to add in
            h = norm(scatter(message, edges[1], dim_size=len(h), reduce=self.aggregation)).relu()
        return self.linear(scatter(h, graph.event, dim_size=graph.num_events, reduce="mean"))
