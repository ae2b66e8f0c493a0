"""Graph convolutional network (Kipf and Welling 2017, arXiv:1609.02907, eq. 8)."""

from itertools import pairwise

from jaxtyping import Float
from torch import Tensor, nn
from torch_geometric.nn import GCNConv
from torch_geometric.utils import degree, scatter

from cdmtrain.batch import Graph


class GNN(nn.Module):
    """Graph convolutions with ReLU between, mean over the nodes of an event, one linear layer.

    X_{k+1} = Â X_k W_k + b_k with Â = D^-1/2 (A + I) D^-1/2, A the adjacency and D the degrees of A + I. After the last
    convolution there is no ReLU. An event without a node pools to zeros.

    The function and the parameters are those of PyG's GCNConv and global_mean_pool; the order of the products is not.
    Â is made once a batch, (Â X) W sums over neighbours as few features as there are, and the last convolution is
    linear up to the mean P over nodes: P (Â X W + b) = ((P Â) X) W + b has a row an event, not a node. A training step
    of the lecture's network takes an eighth of the time.

    Args:
        width: features of a node after each convolution; 256 with depth 2 is the lecture's network, 67 332 parameters.
        depth: number of convolutions, at least 1.
        num_features: features of a node as the representation gives them.
        num_classes: number of logits C.

    Shapes: Graph of B events, feature (N, F), edge_index (2, E) without self-loops -> (B, C).
    """

    def __init__(self, *, width: int, depth: int, num_features: int = 1, num_classes: int = 4) -> None:
        super().__init__()
        if depth < 1:
            raise ValueError(f"depth={depth}: at least one convolution is expected")
        widths = [num_features] + depth * [width]
        self.convolutions = nn.ModuleList(GCNConv(inputs, outputs) for inputs, outputs in pairwise(widths))
        self.linear = nn.Linear(widths[-1], num_classes)

    def forward(self, graph: Graph) -> Float[Tensor, "event class"]:
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
        return self.linear(last.lin(pooled) + last.bias * (size > 0))
