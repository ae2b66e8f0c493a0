"""Graph network (Battaglia 2018, arXiv:1806.01261, algorithm 1): edges, nodes and events learn from each other.

Notable choices:
- the full GN block of the paper (figure 4a), with MLPs that end in layer normalisation;
- from the second block on, each block adds its result to its input, as in arXiv:2002.09405;
- the event starts without features and ends as the only input of the last layer.

Differences from the paper: none in the block, which leaves the functions open; the paper prescribes no residual sums.
"""

from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch_geometric.utils import scatter

from cdmtrain.batch import Graph
from cdmtrain.layers.activation import make_activation
from cdmtrain.layers.one_pass import fits
from cdmtrain.layers.pair_linear import PairLinear
from cdmtrain.layers.relu_pairs import relu_pairs

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
        for number, block in enumerate(self.blocks):
            updated = block(e, v, u, graph)
            e, v, u = updated if number == 0 else (old + new for old, new in zip((e, v, u), updated, strict=True))
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

    def forward(self, e: Edges, v: Nodes, u: Events, graph: Graph) -> tuple[Edges, Nodes, Events]:
        target, n = graph.edge_index[1], graph.event
        v = torch.cat([v, u.index_select(0, n)], dim=1)
        of_edge, activation = None if self.of_edge is None else self.of_edge(e), self.phi_e[0]
        if fits(v, activation):
            hidden = relu_pairs(self.of_ends.target(v), self.of_ends.source(v), graph.edge_index, of_edge)
        else:
            hidden = self.of_ends(v, graph.edge_index)
            hidden = activation(hidden if of_edge is None else hidden + of_edge)
        e = self.phi_e[1:](hidden)
        v = self.phi_v(torch.cat([self.rho(e, target, dim_size=len(v)), v], dim=1))
        of_edges, of_nodes = self.rho(e, n[target], dim_size=len(u)), self.rho(v, n, dim_size=len(u))
        return e, v, self.phi_u(torch.cat([of_edges, of_nodes, u], dim=1))


def _second_layer(width: int, activation: str) -> nn.Sequential:
    return nn.Sequential(make_activation(activation), nn.Linear(width, width), nn.LayerNorm(width))
