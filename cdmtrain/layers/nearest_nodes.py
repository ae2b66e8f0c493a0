"""Find the nearest nodes of each node within its event, in the space of their features."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

NUM_GROUPS = 8  # events of similar size are searched together
MAX_PAIRS = 20_000_000  # distances in memory at once: 80 MB in float32


def nearest_nodes(
    x: Float[Tensor, "node feature"], event: Int[Tensor, " node"], num_events: int, k: int
) -> Int[Tensor, "2 edge"]:
    """Return edges to each node from the k nodes of its event that are nearest in x, counting the node itself.

    An event of fewer than k nodes is fully connected. Nodes of an event must be contiguous.

    Shapes: x (N, F), event (N,) -> (2, E), with the source nodes in the first row and the target nodes in the second.
    """
    num_nodes = event.bincount(minlength=num_events)
    first = num_nodes.cumsum(0) - num_nodes
    edges = [event.new_zeros(2, 0)]
    for events in num_nodes.argsort().chunk(NUM_GROUPS):
        size = num_nodes[events].unsqueeze(1)
        rank = torch.arange(int(size.max()), device=x.device)  # of a node within its event
        candidates = x[(first[events].unsqueeze(1) + rank).clamp(max=len(x) - 1)]  # clamped ones are padding
        for rows in rank.split(max(1, MAX_PAIRS // max(1, len(events) * len(rank)))):
            distance = torch.cdist(candidates[:, rows], candidates)
            distance = distance.masked_fill(rank >= size.unsqueeze(2), torch.inf)
            distance = distance.masked_fill(rank == rows[:, None], -1)  # a node is always its own nearest
            near = distance.topk(min(k, len(rank)), dim=2, largest=False).indices
            is_node = (rows < size).unsqueeze(2) & (near < size.unsqueeze(2))
            group_event, row, column = is_node.nonzero(as_tuple=True)
            source, target = near[group_event, row, column], rows[row]
            edges.append(torch.stack([source, target]) + first[events][group_event])
    return torch.cat(edges, dim=1)
