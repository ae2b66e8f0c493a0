"""Peer: a graph of an image built pixel by pixel in Python."""

from collections.abc import Sequence

import numpy as np
import torch
from torch_geometric.data import Batch, Data

THRESHOLD_MEV = 0.1


def graph_of(image: np.ndarray) -> Data:
    """Pixels above the threshold as nodes, joined to those above, below, left and right of them."""
    node: dict[tuple[int, int], int] = {}
    energies, edges = [], []
    for row in range(image.shape[0]):
        for column in range(image.shape[1]):
            if image[row, column] > THRESHOLD_MEV:
                node[row, column] = len(node)
                energies.append([image[row, column]])
    for (row, column), source in node.items():
        for neighbour in ((row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)):
            if neighbour in node:
                edges.append([source, node[neighbour]])
    x = torch.tensor(np.array(energies, np.float32).reshape(-1, 1))
    edge_index = torch.tensor(edges, dtype=torch.int64).reshape(-1, 2).T.contiguous()
    return Data(x=x, edge_index=edge_index)


def batch_of(images: Sequence[np.ndarray]) -> Batch:
    return Batch.from_data_list([graph_of(image) for image in images])
