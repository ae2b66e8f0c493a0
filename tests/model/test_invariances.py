"""Symmetries of networks: shifts of an event, edges of its graph, permutations of the pixels."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from hydra import compose, initialize_config_module
from hydra.utils import instantiate
from torch import nn

from cdmtrain.batch import EventBatch, Graph, Image
from cdmtrain.model.cnn import CNN
from cdmtrain.model.dnn import DNN
from cdmtrain.model.gnn import GNN
from cdmtrain.representation.graph import GraphRepresentation
from cdmtrain.representation.image import ImageRepresentation

SIZE = 32
FLOAT32_SUMS = {"rtol": 1e-4, "atol": 1e-5}  # the same numbers added in another order


@pytest.fixture
def central(make_batch: Callable[..., EventBatch]) -> EventBatch:
    """Return events whose hits are at least 8 pixels from the border of the image."""
    batch = make_batch(6, image_size=SIZE - 16, empty=[3])
    row, column = batch.pixel // batch.image_size, batch.pixel % batch.image_size
    return replace(batch, pixel=(row + 8) * SIZE + column + 8, image_size=SIZE)


def shifted(batch: EventBatch, rows: int, columns: int) -> EventBatch:
    return replace(batch, pixel=batch.pixel + rows * SIZE + columns)


@pytest.fixture
def gnn() -> GNN:
    torch.manual_seed(1)
    return GNN(width=16, depth=3)


def graph_of(batch: EventBatch) -> Graph:
    return GraphRepresentation(threshold_mev=0.1)(batch)


def test_gnn_logits_depend_on_edges(gnn, central):
    graph = graph_of(central)
    cut = replace(graph, edge_index=graph.edge_index[:, :0], edge_feature=graph.edge_feature[:0])
    lit = central.num_hits > 1
    assert ((gnn(cut) - gnn(graph)).abs().amax(1) > 1e-3)[lit].any()


@pytest.mark.parametrize(("rows", "columns"), [(0, 1), (5, 0), (-8, 7)])
def test_gnn_logits_do_not_depend_on_where_an_event_is(gnn, central, rows, columns):
    assert torch.equal(gnn(graph_of(shifted(central, rows, columns))), gnn(graph_of(central)))  # the very same graph


def cnn(pool_size: int) -> CNN:
    torch.manual_seed(1)
    return CNN(image_size=SIZE, channels=[2, 4], kernel_size=3, stride=1, padding=1, pool_size=pool_size)


def features(net: CNN, batch: EventBatch) -> torch.Tensor:
    return net.blocks(ImageRepresentation()(batch).energy)


@pytest.mark.parametrize(("rows", "columns"), [(0, 1), (3, 0), (-4, 3)])
def test_convolutions_without_pooling_commute_with_shifts_away_from_borders(central, rows, columns):
    net = cnn(pool_size=1)
    moved = features(net, central).roll((rows, columns), dims=(2, 3))
    inside = (..., slice(6, -6), slice(6, -6))  # the largest shift and the reach of two convolutions from the border
    # each output is the same sum of the same numbers, but a border changes how the processor groups them
    torch.testing.assert_close(features(net, shifted(central, rows, columns))[inside], moved[inside], **FLOAT32_SUMS)


def test_convolutions_with_pooling_commute_with_shifts_by_their_stride(central):
    net = cnn(pool_size=2)  # two poolings: one step in the result is 4 pixels
    inside = (..., slice(2, -2), slice(2, -2))
    moved = features(net, central).roll((1, -1), dims=(2, 3))
    torch.testing.assert_close(features(net, shifted(central, 4, -4))[inside], moved[inside], **FLOAT32_SUMS)
    by_one_pixel = features(net, shifted(central, 1, 0))
    assert (by_one_pixel - features(net, central)).abs().max() > 1e-3


def test_dense_network_logits_depend_on_where_an_event_is(central):
    torch.manual_seed(1)
    net = DNN(image_size=SIZE, width=16, depth=3)
    here, there = (net(ImageRepresentation()(batch)) for batch in (central, shifted(central, 3, 3)))
    assert ((here - there).abs().amax(1) > 1e-4)[central.num_hits > 0].all()


def test_dense_network_of_permuted_pixels_is_a_dense_network_with_permuted_weights(central):
    torch.manual_seed(1)
    net, permuted = (DNN(image_size=SIZE, width=16, depth=3) for _ in range(2))
    order = torch.randperm(SIZE**2, generator=torch.Generator().manual_seed(1))
    permuted.load_state_dict(net.state_dict())
    permuted.layers[0].weight.data = net.layers[0].weight.data[order]
    image = ImageRepresentation()(central)
    mixed = Image(energy=image.energy.flatten(2)[..., order].view_as(image.energy))
    torch.testing.assert_close(permuted(mixed), net(image), **FLOAT32_SUMS)


def sparse_resnet(*words: str) -> nn.Sequential:
    """Return representation and network of `model=sparse_resnet` with three stages: 4 pixels to one of the last."""
    small = ["model.channels=[4,6,8]", "model.blocks=[1,1,1]", "data=hdf5", "data.files=[x]", f"data.image_size={SIZE}"]
    with initialize_config_module("cdmtrain.conf", version_base="1.3"):
        cfg = compose("config", overrides=["model=sparse_resnet", *small, *words])
    torch.manual_seed(1)
    return nn.Sequential(instantiate(cfg.representation), instantiate(cfg.model)).eval()


def test_sparse_resnet_logits_depend_on_where_the_borders_are(central):
    net = sparse_resnet()
    change = (net(shifted(central, 4, -4)) - net(central)).abs().amax(1)
    assert (change[central.num_hits > 0] > 1e-4).all()


def test_sparse_resnet_without_distances_to_the_border_is_invariant_under_shifts(central):
    without = "representation/features=[energy]", "representation/event_features=[num_hits,energy,extent]"
    net = sparse_resnet(*without)
    torch.testing.assert_close(net(shifted(central, 4, -4)), net(central), **FLOAT32_SUMS)
