"""Peer: the lecture's networks from the libraries' own layers, float32 in torch's usual layout."""

from torch import Tensor, nn
from torch_geometric.nn import GCNConv, global_mean_pool

from cdmtrain.batch import Graph


def dense_network() -> nn.Module:
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(192 * 192, 64),
        nn.ReLU(),
        nn.Linear(64, 64),
        nn.ReLU(),
        nn.Linear(64, 64),
        nn.ReLU(),
        nn.Linear(64, 4),
    )


def convolutional_network() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 2, 2, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(2, 4, 2, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(4, 8, 2, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(8 * 24 * 24, 4),
    )


class GraphNetwork(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = GCNConv(1, 256)
        self.second = GCNConv(256, 256)
        self.linear = nn.Linear(256, 4)

    def forward(self, graph: Graph) -> Tensor:
        x = self.first(graph.feature, graph.edge_index).relu()
        x = self.second(x, graph.edge_index)
        return self.linear(global_mean_pool(x, graph.event, graph.num_events))
