"""Peer: the lecture's networks from the libraries' own layers, float32 in torch's usual layout."""

import itertools

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


class ResidualBlock(nn.Module):
    """Two convolutions of 3 x 3 and a shortcut (arXiv:1512.03385, figure 2)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        project = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
        self.shortcut = nn.Identity() if inputs == outputs and stride == 1 else project

    def forward(self, x: Tensor) -> Tensor:
        return (self.layers(x) + self.shortcut(x)).relu()


def residual_network() -> nn.Module:
    """ResNet-18 for images of one channel."""
    widths = (64, 64, 128, 256, 512)
    stem = [nn.Conv2d(1, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    blocks = []
    for number, (inputs, outputs) in enumerate(itertools.pairwise(widths)):
        blocks += [ResidualBlock(inputs, outputs, 2 if number else 1), ResidualBlock(outputs, outputs, 1)]
    return nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 4))
