"""A linear layer on the two ends of every edge, computed once for each node."""

from jaxtyping import Float, Int
from torch import Tensor, nn


class PairLinear(nn.Module):
    """W [x_i, x_j] + b for every edge from j to i, as W_1 x_i + W_2 x_j + b.

    The products are on nodes, of which there are fewer than edges; only their sum is on edges.

    Args:
        in_features: features F of a node.
        out_features: features G of an edge.

    Shapes: x (N, F), edge_index (2, E) -> (E, G).
    """

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        self.target = nn.Linear(in_features, out_features)
        self.source = nn.Linear(in_features, out_features, bias=False)

    def forward(self, x: Float[Tensor, "node feature"], edge_index: Int[Tensor, "2 edge"]) -> Float[Tensor, "edge _"]:
        source, target = edge_index
        return self.target(x).index_select(0, target) + self.source(x).index_select(0, source)
