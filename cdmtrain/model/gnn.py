"""Graph convolutional network: GCN (Kipf and Welling 2017, arXiv:1609.02907, eq. 2 and 8) and its relatives.

Notable choices:
- the lecture's network is two GCN layers, whose ReLU stands between them only, and a mean over nodes;
- nodes know the energy of their pixel alone unless the representation adds features, so by default the network cannot
  see where a hit is or in which direction its neighbours are.

Differences from the paper: the network classifies whole graphs, by pooling their nodes, not single nodes; layers have a
bias; no dropout.
"""

from itertools import pairwise
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch_geometric.nn import (
    GATConv,
    GCNConv,
    GINConv,
    SAGEConv,
    global_add_pool,
    global_max_pool,
    global_mean_pool,
)

from cdmtrain.batch import Graph
from cdmtrain.layers.activation import make_activation
from cdmtrain.layers.gcn_mean import gcn_mean

CONVOLUTIONS = {"gcn": GCNConv, "sage": SAGEConv, "gin": GINConv, "gat": GATConv}
POOLINGS = {"mean": global_mean_pool, "max": global_max_pool, "sum": global_add_pool}


class GNN(nn.Module):
    """Graph convolutions with an activation between them, a pooling over the nodes of each event, one linear layer.

    A convolution maps the features x_i of the nodes, with N(i) the neighbours of node i, as follows:

    - gcn: sum over j in N(i) and i of W x_j / sqrt(d_i d_j) + b, with d_i the number of neighbours of i plus 1;
    - sage: W_1 x_i + W_2 mean over N(i) of x_j + b (GraphSAGE, arXiv:1706.02216, algorithm 1);
    - gin: MLP(x_i + sum over N(i) of x_j), an MLP of two linear layers (arXiv:1810.00826, eq. 4.1 with epsilon 0);
    - gat: sum over j in N(i) and i of a_ij W x_j + b, with attention a_ij (arXiv:1710.10903, eq. 3 and 4, one head).

    An event without a node pools to zeros.

    Args:
        width: features of a node after each convolution. With width 256, depth 2 and gcn this is the lecture's network,
            67 332 parameters.
        depth: number of convolutions, at least 1.
        convolution: gcn, sage, gin or gat.
        pooling: mean, max or sum.
        activation: between the convolutions, and in the MLP of gin: relu, gelu, silu, tanh or sigmoid.
        num_features: features of a node as the representation gives them.
        num_classes: number of logits C.

    Shapes: Graph of B events, feature (N, F), edge_index (2, E) ->  (B, C).
    """

    ignores: ClassVar = ("edge_features",)

    def __init__(
        self,
        *,
        width: int,
        depth: int,
        convolution: str = "gcn",
        pooling: str = "mean",
        activation: str = "relu",
        num_features: int = 1,
        num_classes: int = 4,
    ) -> None:
        super().__init__()
        if convolution not in CONVOLUTIONS:
            raise ValueError(f"convolution={convolution}: one of {', '.join(CONVOLUTIONS)} is expected")
        if pooling not in POOLINGS:
            raise ValueError(f"pooling={pooling}: one of {', '.join(POOLINGS)} is expected")
        if depth < 1:
            raise ValueError(f"depth={depth}: at least one convolution is expected")
        widths = [num_features] + depth * [width]
        self.activation = make_activation(activation)
        self.convolutions = nn.ModuleList(self._convolution(convolution, *sizes) for sizes in pairwise(widths))
        self.linear = nn.Linear(widths[-1], num_classes)
        self.pool = POOLINGS[pooling]
        self.is_gcn_mean = (convolution, pooling) == ("gcn", "mean")

    def _convolution(self, name: str, inputs: int, outputs: int) -> nn.Module:
        if name == "gin":
            return GINConv(nn.Sequential(nn.Linear(inputs, outputs), self.activation, nn.Linear(outputs, outputs)))
        return CONVOLUTIONS[name](inputs, outputs)

    def forward(self, graph: Graph) -> Float[Tensor, "event class"]:
        return self.linear(self.embed(graph))

    def embed(self, graph: Graph) -> Float[Tensor, "event feature"]:
        """The features of an event, from which the last layer computes its logits."""
        if self.is_gcn_mean:  # the lecture's choice: the same function as below, in a fraction of the time
            return gcn_mean(self.convolutions, graph, self.activation)
        x = graph.feature
        for number, convolution in enumerate(self.convolutions):
            x = convolution(x if number == 0 else self.activation(x), graph.edge_index)
        x = x.to(torch.promote_types(x.dtype, torch.float32))  # bfloat16 is too coarse for a sum over hundreds of nodes
        return self.pool(x, graph.event, size=graph.num_events)
