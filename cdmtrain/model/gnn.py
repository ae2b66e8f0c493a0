"""Graph convolutional network: GCN (Kipf and Welling 2017, arXiv:1609.02907, eq. 8) and its relatives."""

from itertools import pairwise

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
from torch_geometric.utils import degree, scatter

from cdmtrain.batch import Graph


def _gin(inputs: int, outputs: int) -> GINConv:
    return GINConv(nn.Sequential(nn.Linear(inputs, outputs), nn.ReLU(), nn.Linear(outputs, outputs)))


CONVOLUTIONS = {"gcn": GCNConv, "sage": SAGEConv, "gin": _gin, "gat": GATConv}
POOLINGS = {"mean": global_mean_pool, "max": global_max_pool, "sum": global_add_pool}


class GNN(nn.Module):
    """Graph convolutions with ReLU between, a pooling of the nodes of an event, one linear layer.

    With N(i) the neighbours of node i, a convolution makes of the features x_i

    - gcn: sum over j in N(i) and i of W x_j / sqrt(d_i d_j) + b, with d the number of neighbours and 1 for itself;
    - sage: W_1 x_i + W_2 mean over N(i) of x_j + b (GraphSAGE, arXiv:1706.02216, algorithm 1);
    - gin: MLP(x_i + sum over N(i) of x_j), of two linear layers (arXiv:1810.00826, eq. 4.1, epsilon 0);
    - gat: sum over j in N(i) and i of a_ij W x_j + b, with attention a_ij (arXiv:1710.10903, eq. 3 and 4, one head).

    After the last convolution there is no ReLU. An event without a node pools to zeros.

    The lecture's choice, gcn with mean, has the function and the parameters of PyG's GCNConv and global_mean_pool, but
    another order of products. With Â = D^-1/2 (A + I) D^-1/2 made once a batch, (Â X) W sums over neighbours as few
    features as there are, and the last convolution is linear up to the mean P over nodes: P (Â X W + b) =
    ((P Â) X) W + b has a row an event, not a node. A training step takes an eighth of the time.

    Args:
        width: features of a node after each convolution; 256 with depth 2 and gcn is the lecture's network, 67 332
            parameters.
        depth: number of convolutions, at least 1.
        convolution: gcn, sage, gin or gat.
        pooling: mean, max or sum.
        num_features: features of a node as the representation gives them.
        num_classes: number of logits C.

    Shapes: Graph of B events, feature (N, F), edge_index (2, E) without self-loops -> (B, C).
    """

    def __init__(
        self,
        *,
        width: int,
        depth: int,
        convolution: str = "gcn",
        pooling: str = "mean",
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
        self.convolutions = nn.ModuleList(CONVOLUTIONS[convolution](*sizes) for sizes in pairwise(widths))
        self.linear = nn.Linear(widths[-1], num_classes)
        self.pool = POOLINGS[pooling]
        self._in_short = convolution == "gcn" and pooling == "mean"

    def forward(self, graph: Graph) -> Float[Tensor, "event class"]:
        return self.linear(self._gcn_and_mean(graph) if self._in_short else self._pooled(graph))

    def _pooled(self, graph: Graph) -> Float[Tensor, "event width"]:
        x = graph.feature
        for number, convolution in enumerate(self.convolutions):
            x = convolution(x if number == 0 else x.relu(), graph.edge_index)
        x = x.to(torch.promote_types(x.dtype, torch.float32))  # a sum over hundreds of nodes is wrong in bfloat16
        return self.pool(x, graph.event, size=graph.num_events)

    def _gcn_and_mean(self, graph: Graph) -> Float[Tensor, "event width"]:
        x, (source, target) = graph.feature, graph.edge_index
        num_nodes = len(x)
        scale = (1 + degree(target, num_nodes, dtype=x.dtype)).rsqrt().unsqueeze(1)  # the diagonal of D^-1/2
        *inner, last = list[GCNConv](self.convolutions)
        for convolution in inner:
            scaled = scale * x
            neighbours = scatter(scaled[source], target, dim_size=num_nodes)
            x = (convolution.lin(scale * (neighbours + scaled)) + convolution.bias).relu()
        column_sum = scale * (scatter(scale[target], source, dim_size=num_nodes) + scale)  # of Â: events are apart
        size = degree(graph.event, graph.num_events, dtype=x.dtype).unsqueeze(1)  # nodes of an event
        pooled = scatter(column_sum * x, graph.event, dim_size=graph.num_events) / size.clamp(min=1)
        return last.lin(pooled) + last.bias * (size > 0)
