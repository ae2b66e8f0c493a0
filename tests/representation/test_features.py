"""Nodes and edges have the features chosen, in the order chosen, and a model is built for as many columns."""

import pytest
import torch
from hydra import compose, initialize_config_module
from hydra.utils import instantiate

from cdmtrain.representation.edge_features import Distance, EnergyDifference, Offset
from cdmtrain.representation.features import BorderDistance, Energy, Position
from cdmtrain.representation.graph import GraphRepresentation
from cdmtrain.representation.neighbours import NearestNeighbours
from cdmtrain.representation.scale import SqrtScale

FEATURES = {"energy": Energy(), "position": Position()}
EDGE_FEATURES = {"offset": Offset(), "distance": Distance(), "energy_difference": EnergyDifference()}


@pytest.fixture
def graph_of(batch_of):
    """Makes the graph of images with these features, and lists its pixels as (event, row, column)."""

    def make(images, **chosen):
        representation = GraphRepresentation(threshold_mev=0.0, neighbours=NearestNeighbours(k=3), **chosen)
        return representation(batch_of(images)), list(zip(*images.nonzero(), strict=True))

    return make


def test_nodes_have_energy_and_position_from_zero_to_one(random_images, graph_of):
    images = random_images(4, 9)
    graph, pixels = graph_of(images, features=FEATURES)
    expected = [(images[pixel], pixel[1] / 8, pixel[2] / 8) for pixel in pixels]
    torch.testing.assert_close(graph.feature, torch.tensor(expected, dtype=torch.float32))


def test_nodes_have_the_logarithm_of_their_distances_to_the_nearer_borders(random_images, graph_of):
    images = random_images(4, 9)
    graph, pixels = graph_of(images, features={"border_distance": BorderDistance()})
    expected = [[min(row, 8 - row), min(column, 8 - column)] for _, row, column in pixels]
    torch.testing.assert_close(graph.feature.expm1(), torch.tensor(expected, dtype=torch.float32))


def test_edges_have_offset_distance_and_energy_difference_from_source_to_target(random_images, graph_of):
    images = random_images(4, 9)
    graph, pixels = graph_of(images, edge_features=EDGE_FEATURES, scale=SqrtScale())
    expected = []
    for source, target in graph.edge_index.T.tolist():
        (_, row, column), (_, end_row, end_column) = pixels[source], pixels[target]
        rows, columns = int(end_row - row), int(end_column - column)
        difference = images[pixels[target]] ** 0.5 - images[pixels[source]] ** 0.5
        expected.append((rows, columns, (rows**2 + columns**2) ** 0.5, difference))
    torch.testing.assert_close(graph.edge_feature, torch.tensor(expected, dtype=torch.float32))


def test_columns_come_in_the_order_of_the_features(random_images, graph_of):
    images = random_images(2, 5)
    usual, _ = graph_of(images, features=FEATURES, edge_features=EDGE_FEATURES)
    turned, _ = graph_of(
        images,
        features=dict(reversed(FEATURES.items())),
        edge_features={"distance": Distance(), "offset": Offset()},
    )
    assert torch.equal(turned.feature, usual.feature[:, [1, 2, 0]])
    assert torch.equal(turned.edge_feature, usual.edge_feature[:, [2, 0, 1]])


@pytest.mark.parametrize("feature", [*FEATURES.values(), *EDGE_FEATURES.values()], ids=lambda one: type(one).__name__)
def test_a_feature_has_as_many_columns_as_it_says(feature, random_images, graph_of):
    kind = "features" if feature in FEATURES.values() else "edge_features"
    graph, _ = graph_of(random_images(2, 5), **{kind: {"one": feature}})
    assert (graph.feature if kind == "features" else graph.edge_feature).shape[1] == feature.num_columns


@pytest.mark.parametrize(
    ("overrides", "columns", "edge_columns"),
    [
        ((), 1, 0),
        (("representation/features=[energy,position]",), 3, 0),
        (("representation/features=position", "representation/edge_features=[offset,distance]"), 2, 3),
        (("representation/edge_features=[offset,distance,energy_difference]",), 1, 4),
        (("representation/event_features=[num_hits,extent]", "representation/features=[border_distance]"), 7, 0),
        (("representation=image",), 0, 0),
    ],
)
def test_the_configuration_counts_the_columns(overrides, columns, edge_columns, make_batch):
    counts = ["+a=${columns:features}", "+b=${columns:edge_features}"]
    with initialize_config_module("cdmtrain.conf", version_base="1.3"):
        cfg = compose("config", overrides=["representation=graph", *overrides, *counts])
    assert (cfg.a, cfg.b) == (columns, edge_columns)
    made = instantiate(cfg.representation)(make_batch(2))
    if columns:
        assert (made.feature.shape[1], made.edge_feature.shape[1]) == (columns, edge_columns)
