"""EdgeConv, also called DGCNN (Wang 2019, arXiv:1801.07829): features of edges from differences between nodes.

Notable choices:
- the first step uses the neighbours that the representation found; the others use them again or, with `dynamic`, find
  the nearest nodes in the space of features (section 3.2);
- the nodes of an event are pooled by their mean and maximum, over the features of all steps side by side.

Differences from the paper:
- h has two linear layers, not one; layer normalisation and ReLU follow the maximum over neighbours, where the paper has
  batch normalisation and LeakyReLU inside h;
- no shared layer to 1024 features before the pooling, and no dropout.
"""

from collections.abc import Iterable
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch_geometric.utils import add_self_loops, scatter

from cdmtrain.batch import Graph
from cdmtrain.layers.activation import make_activation
from cdmtrain.layers.nearest_nodes import nearest_nodes
from cdmtrain.layers.one_pass import fits
from cdmtrain.layers.pair_linear import PairLinear
from cdmtrain.layers.relu_pairs import relu_pairs
from cdmtrain.layers.scatter_max import scatter_max


class EdgeConv(nn.Module):
    """x'_i = s(LN(max_j h(x_i, x_j - x_i))), `depth` times; mean and maximum over nodes; two linear layers.

    s is an activation, by default ReLU; h is an MLP of two linear layers (eq. 7). Its first layer is a function of x_i
    and x_j, which is equivalent. The maximum is over the neighbours j of i and i itself. An event without a node pools
    to zeros.

    Args:
        width: features of a node after each step.
        depth: number of steps.
        dynamic: whether each step but the first finds its own neighbours in the space of features.
        k: number of nearest nodes where `dynamic`, counting the node itself; smaller events are fully connected.
        activation: relu, gelu, silu, tanh or sigmoid.
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
        dynamic: bool,
        k: int,
        activation: str = "relu",
        num_features: int = 1,
        num_classes: int = 4,
    ) -> None:
        super().__init__()
        if k < 1:
            raise ValueError(f"k={k}: at least 1 neighbour is expected")
        self.dynamic, self.k = dynamic, k
        widths = [num_features] + depth * [width]
        self.pairs = nn.ModuleList(PairLinear(inputs, width) for inputs in widths[:-1])
        self.h = nn.ModuleList(nn.Sequential(make_activation(activation), nn.Linear(width, width)) for _ in widths[1:])
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in widths[1:])
        self.activation = make_activation(activation)
        hidden = nn.Linear(2 * depth * width, width)
        self.linear = nn.Sequential(hidden, make_activation(activation), nn.Linear(width, num_classes))

    def forward(self, graph: Graph) -> Float[Tensor, "event class"]:
        return self.linear[-1](self.embed(graph))

    def embed(self, graph: Graph) -> Float[Tensor, "event feature"]:
        """The features of an event, from which the last layer computes its logits."""
        edges, _ = add_self_loops(graph.edge_index, num_nodes=len(graph.feature))
        x, outputs = graph.feature, []
        steps: Iterable[Any] = zip(self.pairs, self.h, self.norms, strict=True)
        for number, (pair, (activation, linear), norm) in enumerate(steps):
            if self.dynamic and number > 0:
                edges = nearest_nodes(x.detach(), graph.event, graph.num_events, self.k)
            one_pass = fits(x, activation)
            hidden = relu_pairs(pair.target(x), pair.source(x), edges) if one_pass else activation(pair(x, edges))
            x = self.activation(norm(scatter_max(linear(hidden), edges[1], len(x))))
            outputs.append(x)
        nodes = torch.cat(outputs, dim=1)
        mean = scatter(nodes, graph.event, dim_size=graph.num_events, reduce="mean")
        return self.linear[:-1](torch.cat([mean, scatter_max(nodes, graph.event, graph.num_events)], dim=1))
