"""Graph convolutions and a mean over nodes, with the products in the order that costs least."""

from collections.abc import Iterable

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional
from torch_geometric.nn import GCNConv
from torch_geometric.utils import degree, scatter

from cdmtrain.batch import Graph


def gcn_mean(convolutions: Iterable[GCNConv], graph: Graph, activation: nn.Module) -> Float[Tensor, "event width"]:
    """Apply GCN layers with an activation between them, then take the mean over the nodes of each event.

    A layer is Â X W + b with Â = D^-1/2 (A + I) D^-1/2, as in PyG's GCNConv. Three things make a training step of the
    lecture's network eight times as fast as PyG's:

    - the degrees are computed once for all layers;
    - (Â X) W sums over neighbours as few features as X has, not as many as the layer gives;
    - the last layer is linear up to the mean P over nodes, and P (Â X W + b) = ((P Â) X) W + b has one row per event,
      not per node.

    An event without a node gives zeros. An edge from a node to itself is the one that A + I has anyway.

    Shapes: Graph of B events, feature (N, F), edge_index (2, E) -> (B, width of the last layer).
    """
    x, (source, target) = graph.feature, graph.edge_index
    num_nodes = len(x)
    target = torch.where(source == target, num_nodes, target)  # a row that is left out collects what must not count
    scale = (1 + degree(target, num_nodes + 1, dtype=x.dtype)[:-1]).rsqrt().unsqueeze(1)  # the diagonal of D^-1/2
    *inner, last = convolutions
    for convolution in inner:
        scaled = scale * x
        neighbours = scatter(scaled.index_select(0, source), target, dim_size=num_nodes + 1)[:-1]
        x = activation(convolution.lin(scale * (neighbours + scaled)) + convolution.bias)
    to_target = functional.pad(scale, (0, 0, 0, 1)).index_select(0, target)
    column_sum = scale * (scatter(to_target, source, dim_size=num_nodes) + scale)  # of Â; no edge joins two events
    num_in_event = degree(graph.event, graph.num_events, dtype=x.dtype).unsqueeze(1)
    pooled = scatter(column_sum * x, graph.event, dim_size=graph.num_events) / num_in_event.clamp(min=1)
    return last.lin(pooled) + last.bias * (num_in_event > 0)
