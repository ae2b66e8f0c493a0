"""Graph network (Battaglia 2018, arXiv:1806.01261, algorithm 1): edges, nodes and events learn from each other.

Notable choices:
- the full GN block of the paper (figure 4a), with MLPs that end in layer normalisation;
- from the second block on, each block adds its result to its input, as in arXiv:2002.09405;
- the event starts without features and ends as the only input of the last layer.

Differences from the paper: none in the block, which leaves the functions open; the paper prescribes no residual sums.
"""

from functools import partial
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch_geometric.utils import degree, scatter

from cdmtrain.batch import Graph
from cdmtrain.layers.activation import make_activation
from cdmtrain.layers.edge_update import edge_update
from cdmtrain.layers.one_pass import fits
from cdmtrain.layers.pair_linear import PairLinear

AGGREGATIONS = ("sum", "mean", "max")

Edges = Float[Tensor, "edge _feature"]
Nodes = Float[Tensor, "node _feature"]
Events = Float[Tensor, "event _feature"]


class GraphNetwork(nn.Module):
    """GN blocks, one after another, and one linear layer on the features of the event.

    A block updates, for an edge from node j to node i of event n,

    - each edge: e'_ij = phi_e(e_ij, v_i, v_j, u_n);
    - each node: v'_i = phi_v(rho(e'_ij over j), v_i, u_n);
    - each event: u'_n = phi_u(rho(e' over the edges of n), rho(v' over the nodes of n), u_n).

    Each phi is an MLP of two linear layers with layer normalisation, and rho a sum, mean or maximum, which is zero
    where there is no edge or node. The blocks after the first give e + e', v + v' and u + u'. The first e and v are the
    features that the representation gives; the first u is empty.

    Args:
        width: features of edges, nodes and events after each block, and of the hidden layers.
        depth: number of blocks.
        aggregation: rho, one of sum, mean, max.
        activation: relu, gelu, silu, tanh or sigmoid.
        num_features: features of a node as the representation gives them.
        num_edge_features: features of an edge as the representation gives them; may be 0.
        num_classes: number of logits C.

    Shapes: Graph of B events, feature (N, F), edge_index (2, E), edge_feature (E, G) -> (B, C).
    """

    def __init__(
        self,
        *,
        width: int,
        depth: int,
        aggregation: str,
        activation: str = "relu",
        num_features: int = 1,
        num_edge_features: int = 0,
        num_classes: int = 4,
    ) -> None:
        super().__init__()
        if aggregation not in AGGREGATIONS:
            raise ValueError(f"aggregation={aggregation}: one of {', '.join(AGGREGATIONS)} is expected")
        if depth < 1:
            raise ValueError(f"depth={depth}: at least one block is expected")
        make_block = partial(GNBlock, width=width, aggregation=aggregation, activation=activation)
        first = make_block(num_edge_features, num_features, 0)
        self.blocks = nn.ModuleList([first, *(make_block(width, width, width) for _ in range(depth - 1))])
        self.linear = nn.Linear(width, num_classes)

    def forward(self, graph: Graph) -> Float[Tensor, "event class"]:
        return self.linear(self.embed(graph))

    def embed(self, graph: Graph) -> Float[Tensor, "event feature"]:
        """The features of an event, from which the last layer computes its logits."""
        e, v, u = graph.edge_feature, graph.feature, graph.feature.new_zeros(graph.num_events, 0)
        for number, block in enumerate(self.blocks, 1):
            new_e, new_v, new_u = block(e, v, u, graph, keep_edges=number < len(self.blocks))
            first = number == 1
            e = new_e if first or new_e is None else e + new_e
            v, u = (new_v, new_u) if first else (v + new_v, u + new_u)
        return u


class GNBlock(nn.Module):
    """Update all edges, then all nodes, then all events."""

    def __init__(self, edge: int, node: int, event: int, *, width: int, aggregation: str, activation: str) -> None:
        super().__init__()
        # the first layer of phi_e is the sum of these two
        self.of_edge = nn.Linear(edge, width, bias=False) if edge else None
        self.of_ends = PairLinear(node + event, width)
        self.phi_e = _second_layer(width, activation)
        self.phi_v = nn.Sequential(nn.Linear(width + node + event, width), *_second_layer(width, activation))
        self.phi_u = nn.Sequential(nn.Linear(2 * width + event, width), *_second_layer(width, activation))
        self.rho = partial(scatter, reduce=aggregation)
        self.aggregation = aggregation

    def forward(
        self, e: Edges, v: Nodes, u: Events, graph: Graph, *, keep_edges: bool
    ) -> tuple[Edges | None, Nodes, Events]:
        """Return e', v' and u'; e' may be None if it is not kept."""
        n = graph.event
        v = torch.cat([v, u.index_select(0, n)], dim=1)
        activation, linear, norm = cast(tuple[nn.Module, nn.Linear, nn.LayerNorm], tuple(self.phi_e))
        total: Nodes | None = None
        if fits(v, activation):
            inputs = self.of_ends.target(v), self.of_ends.source(v), e, graph.edge_index, self.of_edge, linear, norm
            updated, total = edge_update(*inputs, keep_edges=keep_edges or self.aggregation == "max")
        else:
            hidden = self.of_ends(v, graph.edge_index)
            updated = self.phi_e(hidden if self.of_edge is None else hidden + self.of_edge(e))
        to_nodes, to_events = self._aggregate(updated, total, graph)
        v = self.phi_v(torch.cat([to_nodes, v], dim=1))
        return updated, v, self.phi_u(torch.cat([to_events, self.rho(v, n, dim_size=len(u)), u], dim=1))

    def _aggregate(self, e: Edges | None, total: Nodes | None, graph: Graph) -> tuple[Nodes, Events]:
        """rho(e') over the edges to each node and of each event, from the sum of e' at the nodes where it suffices."""
        target, n, num_nodes = graph.edge_index[1], graph.event, len(graph.event)
        if total is None or self.aggregation == "max":
            return self.rho(e, target, dim_size=num_nodes), self.rho(e, n[target], dim_size=graph.num_events)
        of_events: Events = scatter(total, n, dim_size=graph.num_events)
        if self.aggregation == "sum":
            return total, of_events
        num_edges = degree(target, num_nodes, dtype=total.dtype).unsqueeze(1)
        return total / num_edges.clamp(min=1), of_events / scatter(num_edges, n, dim_size=len(of_events)).clamp(min=1)


def _second_layer(width: int, activation: str) -> nn.Sequential:
    return nn.Sequential(make_activation(activation), nn.Linear(width, width), nn.LayerNorm(width))
