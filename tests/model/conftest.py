"""What tests of several networks share: sequences, graphs, and the number of parameters."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import nn

from cdmtrain.batch import EventBatch, Graph, Sequence
from cdmtrain.representation.edge_features import Offset
from cdmtrain.representation.features import ENERGY_AND_POSITION
from cdmtrain.representation.graph import GraphRepresentation
from cdmtrain.representation.neighbours import NearestNeighbours
from cdmtrain.representation.sequence import SequenceRepresentation


@pytest.fixture
def sequence(make_batch: Callable[..., EventBatch]) -> Sequence:
    """Seven events of 32 x 32 pixels, hits row by row; the fourth has none."""
    return SequenceRepresentation()(make_batch(7, image_size=32, empty=[3]))


@pytest.fixture
def permuted() -> Callable[[Sequence], Sequence]:
    """Puts the hits of each event into another order, one a row of a table of places."""

    def permute(sequence: Sequence) -> Sequence:
        draw = torch.rand(sequence.mask.shape, generator=torch.Generator().manual_seed(1))
        order = draw.masked_fill(~sequence.mask, 2).argsort(1)  # padding stays at the end
        return Sequence(feature=sequence.feature.take_along_dim(order.unsqueeze(2), 1), mask=sequence.mask)

    return permute


@pytest.fixture
def padded() -> Callable[..., Sequence]:
    """Adds nine places of padding, which hold a number of your choice."""

    def pad(sequence: Sequence, *, value: float = 0.0) -> Sequence:
        return Sequence(
            feature=nn.functional.pad(sequence.feature.masked_fill(~sequence.mask.unsqueeze(2), value), (0, 0, 0, 9)),
            mask=nn.functional.pad(sequence.mask, (0, 9)),
        )

    return pad


@pytest.fixture
def num_parameters() -> Callable[[nn.Module], int]:
    return lambda net: sum(weight.numel() for weight in net.parameters())


@pytest.fixture
def graph(make_batch: Callable[..., EventBatch]) -> Graph:
    """Six events of 24 x 24 pixels, each pixel joined to its nearest; the fourth has none, some have a single one."""
    representation = GraphRepresentation(
        threshold_mev=0.05,
        features=ENERGY_AND_POSITION,
        neighbours=NearestNeighbours(k=3),
        edge_features={"offset": Offset()},
    )
    return representation(make_batch(6, image_size=24, empty=[3]))


@pytest.fixture
def renumbered(graph: Graph) -> Graph:
    """The same graph with its nodes numbered anew and its edges in another order."""
    generator = torch.Generator().manual_seed(1)
    order = torch.randperm(len(graph.event), generator=generator)
    edges = torch.randperm(graph.edge_index.shape[1], generator=generator)
    return replace(
        graph,
        feature=graph.feature[order],
        event=graph.event[order],
        edge_index=order.argsort()[graph.edge_index][:, edges],
        edge_feature=graph.edge_feature[edges],
    )
