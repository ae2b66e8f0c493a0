"""Graph convolutional network (Kipf and Welling 2017, arXiv:1609.02907, eq. 8)."""

from itertools import pairwise

from jaxtyping import Float
from torch import Tensor, nn
from torch_geometric.nn import GCNConv, global_mean_pool

from cdmtrain.batch import Graph


class GNN(nn.Module):
    """Graph convolutions with ReLU between, mean over the nodes of an event, one linear layer.

    X_{k+1} = D^-1/2 (A + I) D^-1/2 X_k W_k + b_k, with A the adjacency and D the degrees of A + I. After the last
    convolution there is no ReLU. An event without a node pools to zeros.

    Args:
        width: features of a node after each convolution; 256 with depth 2 is the lecture's network, 67 332 parameters.
        depth: number of convolutions.
        num_features: features of a node as the representation gives them.
        num_classes: number of logits C.

    Shapes: Graph of B events, feature (N, F), edge_index (2, E) -> (B, C).
    """

    def __init__(self, *, width: int, depth: int, num_features: int = 1, num_classes: int = 4) -> None:
        super().__init__()
        widths = [num_features] + depth * [width]
        self.convolutions = nn.ModuleList(GCNConv(inputs, outputs) for inputs, outputs in pairwise(widths))
        self.linear = nn.Linear(widths[-1], num_classes)

    def forward(self, graph: Graph) -> Float[Tensor, "event class"]:
        x = graph.feature
        for number, convolution in enumerate(self.convolutions):
            x = convolution(x if number == 0 else x.relu(), graph.edge_index)
        return self.linear(global_mean_pool(x, graph.event, size=graph.num_events))
