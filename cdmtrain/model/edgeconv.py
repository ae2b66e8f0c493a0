"""EdgeConv (Wang 2019, arXiv:1801.07829): each pixel beside its neighbours, fixed ones or those that look alike."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch_geometric.utils import add_self_loops, scatter

from cdmtrain.batch import Graph
from cdmtrain.layers.pair_linear import PairLinear

GROUPS = 8  # of events of about as many nodes
MOST_PAIRS = 20_000_000  # pairs of nodes whose distances are in memory at once: 80 MB


class EdgeConv(nn.Module):
    """x'_i = max_j h(x_i, x_j - x_i), `depth` times; mean and maximum over the nodes of an event; two linear layers.

    h is an MLP of two linear layers (eq. 7 and 8), its first layer written in x_i and x_j, which is the same function.
    Each maximum is followed by layer normalisation and ReLU; the paper normalises inside h and over the batch. The
    maximum goes over i itself and its neighbours: in the first step those of the representation; in the others the
    same again or, `dynamic`, the k nodes of the event whose features are nearest to x_i (section 3.2). All steps side
    by side are pooled. An event without a node pools to zeros.

    Args:
        width: features of a node after each step.
        depth: number of steps.
        dynamic: whether neighbours are found anew in the space of features.
        k: number of nearest nodes, the node itself among them; where an event has fewer, all.
        num_features: features of a node as the representation gives them.
        num_classes: number of logits C.

    Shapes: Graph of B events, feature (N, F), edge_index (2, E) -> (B, C).
    """

    def __init__(
        self, *, width: int, depth: int, dynamic: bool, k: int, num_features: int = 1, num_classes: int = 4
    ) -> None:
        super().__init__()
        if k < 1:
            raise ValueError(f"k={k}: at least 1 neighbour is expected")
        self.dynamic, self.k = dynamic, k
        widths = [num_features] + depth * [width]
        self.pairs = nn.ModuleList(PairLinear(inputs, width) for inputs in widths[:-1])
        self.h = nn.ModuleList(nn.Sequential(nn.ReLU(), nn.Linear(width, width)) for _ in widths[1:])
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in widths[1:])
        self.linear = nn.Sequential(nn.Linear(2 * depth * width, width), nn.ReLU(), nn.Linear(width, num_classes))

    def forward(self, graph: Graph) -> Float[Tensor, "event class"]:
        edges, _ = add_self_loops(graph.edge_index, num_nodes=len(graph.feature))
        x, said = graph.feature, []
        for number, (pair, h, norm) in enumerate(zip(self.pairs, self.h, self.norms, strict=True)):
            if self.dynamic and number:
                edges = nearest(x.detach(), graph.event, graph.num_events, self.k)
            x = norm(scatter(h(pair(x, edges)), edges[1], dim_size=len(x), reduce="max")).relu()
            said.append(x)
        nodes = torch.cat(said, dim=1)
        pooled = [scatter(nodes, graph.event, dim_size=graph.num_events, reduce=reduce) for reduce in ("mean", "max")]
        return self.linear(torch.cat(pooled, dim=1))


def nearest(
    x: Float[Tensor, "node feature"], event: Int[Tensor, " node"], num_events: int, k: int
) -> Int[Tensor, "2 edge"]:
    """Edges to each node from the k nodes of its event that are nearest in x, itself among them; all where fewer.

    Events of about as many nodes are searched together, and not more than MOST_PAIRS distances are in memory at once.
    """
    num_nodes = event.bincount(minlength=num_events)
    first = num_nodes.cumsum(0) - num_nodes
    found = [event.new_zeros(2, 0)]
    for events in num_nodes.argsort().chunk(GROUPS):
        size = num_nodes[events].unsqueeze(1)
        place = torch.arange(int(size.max()), device=x.device)
        node = (first[events].unsqueeze(1) + place).clamp(max=len(x) - 1)  # beyond an event's own: not looked at
        candidates = x[node]
        for rows in place.split(max(1, MOST_PAIRS // max(1, node.numel()))):
            distance = torch.cdist(candidates[:, rows], candidates)
            distance = distance.masked_fill(place >= size.unsqueeze(2), torch.inf).masked_fill(
                place == rows[:, None], -1
            )
            near = distance.topk(min(k, len(place)), dim=2, largest=False).indices
            event_row, row, column = ((rows < size).unsqueeze(2) & (near < size.unsqueeze(2))).nonzero(as_tuple=True)
            begin = first[events][event_row]
            found.append(torch.stack([begin + near[event_row, row, column], begin + rows[row]]))
    return torch.cat(found, dim=1)
