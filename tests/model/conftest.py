"""What tests of several networks share: inputs in double precision, weights without zeros, the number of parameters."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import nn

from cdmtrain.batch import EventBatch, Graph, Image, Sequence
from cdmtrain.representation.edge_features import Offset
from cdmtrain.representation.features import ENERGY_AND_POSITION
from cdmtrain.representation.graph import GraphRepresentation
from cdmtrain.representation.image import ImageRepresentation
from cdmtrain.representation.neighbours import NearestNeighbours
from cdmtrain.representation.sequence import SequenceRepresentation


@pytest.fixture
def drawn() -> Callable[[nn.Module], nn.Module]:
    """Draws the weights of a network in double precision: no bias is zero, no norm or running mean the identity."""

    def draw(net: nn.Module) -> nn.Module:
        generator = torch.Generator().manual_seed(1)
        for name, tensor in net.double().state_dict().items():
            if tensor.is_floating_point() and not name.endswith("eps"):  # GIN's, which stays zero
                noise = torch.randn(tensor.shape, generator=generator, dtype=tensor.dtype)
                if tensor.dim() > 1:
                    tensor.copy_(noise / tensor[0].numel() ** 0.5)
                elif name.endswith("running_var"):
                    tensor.copy_(noise.exp())
                else:
                    tensor.add_(0.3 * noise)
        return net

    return draw


@pytest.fixture
def image(make_batch: Callable[..., EventBatch]) -> Image:
    """Five images of 33 x 33 pixels in double precision; the third is dark."""
    energy = ImageRepresentation()(make_batch(5, image_size=33, empty=[2])).energy.double()
    return Image(energy=energy.requires_grad_())


@pytest.fixture
def sequence(make_batch: Callable[..., EventBatch]) -> Sequence:
    """Seven events of 32 x 32 pixels in double precision, hits row by row; the fourth has none."""
    sequence = SequenceRepresentation()(make_batch(7, image_size=32, empty=[3]))
    return replace(sequence, feature=sequence.feature.double().requires_grad_())


@pytest.fixture
def permuted() -> Callable[[Sequence], Sequence]:
    """Puts the hits of each event into another order."""

    def permute(sequence: Sequence) -> Sequence:
        draw = torch.rand(sequence.mask.shape, generator=torch.Generator().manual_seed(1))
        order = draw.masked_fill(~sequence.mask, 2).argsort(1)  # padding stays at the end
        return Sequence(feature=sequence.feature.take_along_dim(order.unsqueeze(2), 1), mask=sequence.mask)

    return permute


@pytest.fixture
def padded() -> Callable[..., Sequence]:
    """Adds padding for nine hits, and fills all padding with a number."""

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
    """Six events of 24 x 24 pixels, each joined to its three nearest, in double precision.

    The fourth event has no pixel, and some have a single one.
    """
    representation = GraphRepresentation(
        threshold_mev=0.05,
        features=ENERGY_AND_POSITION,
        neighbours=NearestNeighbours(k=3),
        edge_features={"offset": Offset()},
    )
    graph = representation(make_batch(6, image_size=24, empty=[3]))
    feature, edge_feature = (x.double().requires_grad_() for x in (graph.feature, graph.edge_feature))
    return replace(graph, feature=feature, edge_feature=edge_feature)


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
