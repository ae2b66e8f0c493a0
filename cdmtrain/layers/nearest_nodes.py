"""Find the nearest nodes of each node within its event, in the space of their features."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from cdmtrain.layers.by_length import groups_by_length

NUM_GROUPS = {"cpu": 8, "gpu": 1}  # events of similar size are searched together; a GPU would wait for every group
MAX_PAIRS = 20_000_000  # distances in memory at once: 80 MB in float32


@torch.compiler.disable  # the sizes of events and the number of edges are read
def nearest_nodes(
    x: Float[Tensor, "node feature"], event: Int[Tensor, " node"], num_events: int, k: int
) -> Int[Tensor, "2 edge"]:
    """Return edges to each node from the k nodes of its event that are nearest in x, counting the node itself.

    An event of fewer than k nodes is fully connected. Nodes of an event must be contiguous, and events ascend. A GPU
    waits for the CPU twice: for the sizes of the events, and for the number of edges.

    Shapes: x (N, F), event (N,) -> (2, E), with the source nodes in the first row and the target nodes in the second.
    """
    offset = torch.searchsorted(event, torch.arange(num_events + 1, device=event.device))
    num_nodes, order = offset.diff().sort()
    num_groups = NUM_GROUPS["cpu" if event.device.type == "cpu" else "gpu"]
    edges = [event.new_zeros(2, 0)]
    for group, largest in groups_by_length(num_nodes.tolist(), num_groups, x.device):
        events, size = order[group], num_nodes[group].view(-1, 1, 1)
        first = offset.index_select(0, events)
        rank = torch.arange(largest, device=x.device)  # of a node within its event
        candidates = x[(first.unsqueeze(1) + rank).clamp(max=len(x) - 1)]  # clamped ones are padding
        near = [
            _nearest(candidates, rows, size, k)
            for rows in rank.split(max(1, MAX_PAIRS // max(1, len(events) * len(rank))))
        ]
        source = torch.cat(near, dim=1)
        is_node = (rank.unsqueeze(1) < size) & (source < size)
        group_event, row, column = is_node.nonzero(as_tuple=True)
        edges.append(torch.stack([source[group_event, row, column], row]) + first[group_event])
    return torch.cat(edges, dim=1)


def _nearest(
    candidates: Float[Tensor, "event node feature"], rows: Int[Tensor, " row"], size: Int[Tensor, "event 1 1"], k: int
) -> Int[Tensor, "event row near"]:
    """The nodes nearest to some rows of each event; nodes from `size` on are padding and come last."""
    rank = torch.arange(candidates.shape[1], device=rows.device)
    distance = torch.cdist(candidates.index_select(1, rows), candidates)
    distance = distance.masked_fill(rank >= size, torch.inf)
    distance = distance.masked_fill(rank == rows[:, None], -1)  # a node is always its own nearest
    return distance.topk(min(k, len(rank)), dim=2, largest=False).indices
