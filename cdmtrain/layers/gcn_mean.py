"""Graph convolutions and a mean over nodes, with the products in the order that costs least."""

from collections.abc import Iterable

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional
from torch_geometric.nn import GCNConv
from torch_geometric.utils import degree, scatter

from cdmtrain.batch import Graph
from cdmtrain.layers.one_pass import fits
from cdmtrain.layers.relu_pooling import MOST_FEATURES, relu_pooling


def gcn_mean(convolutions: Iterable[GCNConv], graph: Graph, activation: nn.Module) -> Float[Tensor, "event width"]:
    """Apply GCN layers with an activation between them, then take the mean over the nodes of each event.

    A layer is Â X W + b with Â = D^-1/2 (A + I) D^-1/2, as in PyG's GCNConv. Four things make a training step of the
    lecture's network many times as fast as PyG's:

    - the degrees are computed once for all layers;
    - (Â X) W sums over neighbours as few features as X has, not as many as the layer gives;
    - the last layer is linear up to the mean P over nodes, and P (Â X W + b) = ((P Â) X) W + b has one row per event,
      not per node;
    - on a CPU, the activations before that mean are not kept (see `relu_pooling`), which is a factor of four by itself.

    An event without a node gives zeros. An edge from a node to itself is the one that A + I has anyway.

    Shapes: Graph of B events, feature (N, F), edge_index (2, E) -> (B, width of the last layer).
    """
    x, (source, target) = graph.feature, graph.edge_index
    num_nodes = len(x)
    target = torch.where(source == target, num_nodes, target)  # a row that is left out collects what must not count
    scale = (1 + degree(target, num_nodes + 1, dtype=x.dtype)[:-1]).rsqrt().unsqueeze(1)  # the diagonal of D^-1/2
    to_target = functional.pad(scale, (0, 0, 0, 1)).index_select(0, target)
    column_sum = scale * (scatter(to_target, source, dim_size=num_nodes) + scale)  # of Â; no edge joins two events
    num_in_event = degree(graph.event, graph.num_events, dtype=x.dtype).unsqueeze(1)
    *inner, last = convolutions
    pooled = None
    for number, convolution in enumerate(inner, 1):
        scaled = scale * x
        neighbours = scatter(scaled.index_select(0, source), target, dim_size=num_nodes + 1)[:-1]
        x = scale * (neighbours + scaled)
        if number == len(inner) and x.shape[1] <= MOST_FEATURES and fits(x, activation):
            weights = convolution.lin.weight, convolution.bias, column_sum.squeeze(1)
            pooled = relu_pooling(x, *weights, graph.event, graph.num_events)
        else:
            x = activation(convolution.lin(x) + convolution.bias)
    if pooled is None:
        pooled = scatter(column_sum * x, graph.event, dim_size=graph.num_events)
    return last.lin(pooled / num_in_event.clamp(min=1)) + last.bias * (num_in_event > 0)
