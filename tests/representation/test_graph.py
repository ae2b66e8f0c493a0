"""Graphs agree with a slow construction that loops over the pixels of dense images."""

import numpy as np
import pytest
import torch

from cdmtrain.batch import Graph
from cdmtrain.representation.graph import GraphRepresentation

THRESHOLD_MEV = 0.25


def slow_graph(images: np.ndarray) -> tuple[list[float], list[int], set[tuple[int, int]]]:
    """Return energies and events of the nodes, and the edges as (source, target), of images (N, S, S)."""
    size = images.shape[1]
    bright = [(e, r, c) for e, r, c in np.ndindex(images.shape) if images[e, r, c] > THRESHOLD_MEV]
    number = {pixel: node for node, pixel in enumerate(bright)}
    edges = set()
    for event, row, column in bright:
        for r, c in ((row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)):
            if 0 <= r < size and 0 <= c < size and (event, r, c) in number:
                edges.add((number[event, row, column], number[event, r, c]))
    return [float(images[pixel]) for pixel in bright], [event for event, _, _ in bright], edges


def edges_of(graph: Graph) -> list[tuple[int, int]]:
    return [(source, target) for source, target in graph.edge_index.T.tolist()]


@pytest.fixture
def graph_of(batch_of):
    return lambda images: GraphRepresentation(threshold_mev=THRESHOLD_MEV)(batch_of(images))


@pytest.mark.parametrize("size", [1, 2, 3, 8])
@pytest.mark.parametrize("lit", [0.15, 0.5, 1.0])
def test_a_graph_is_that_of_a_slow_construction(random_images, graph_of, size, lit):
    images = random_images(6, size, lit=lit, seed=size)
    graph = graph_of(images)
    energies, events, edges = slow_graph(images)
    assert graph.feature.flatten().tolist() == energies
    assert graph.event.tolist() == events
    assert len(edges_of(graph)) == len(edges), "an edge is there twice"
    assert set(edges_of(graph)) == edges
    assert graph.num_events == 6


def test_edges_go_both_ways_and_never_from_a_node_to_itself(random_images, graph_of):
    edges = edges_of(graph_of(random_images(5, 8)))
    assert edges
    assert {(target, source) for source, target in edges} == set(edges)
    assert all(source != target for source, target in edges)


def test_the_last_column_is_not_joined_to_the_next_row(graph_of):
    images = np.zeros((1, 4, 4), np.float32)
    images[0, [0, 1, 1, 2], [3, 0, 3, 0]] = 1  # pixel numbers 3 4 and 7 8 follow one another; only 3 and 7 touch
    assert set(edges_of(graph_of(images))) == {(0, 2), (2, 0), (1, 3), (3, 1)}


def test_the_last_row_of_an_event_is_not_joined_to_the_next_event(graph_of):
    images = np.zeros((2, 4, 4), np.float32)
    images[0, 3] = 1  # the last row, then the first row of the next event: one image below the other
    images[1, 0] = 1
    graph = graph_of(images)
    source, target = graph.edge_index
    assert torch.equal(graph.event[source], graph.event[target])
    assert graph.edge_index.shape == (2, 12)


def test_pixels_at_the_threshold_are_not_nodes(graph_of):
    images = np.zeros((1, 2, 2), np.float32)
    images[0, 0] = THRESHOLD_MEV, np.nextafter(np.float32(THRESHOLD_MEV), np.float32(1))
    graph = graph_of(images)
    assert graph.feature.flatten().tolist() == [images[0, 0, 1]]


def test_energy_above_the_threshold_is_conserved(random_images, graph_of):
    images = random_images(5, 8)
    assert graph_of(images).feature.double().sum() == pytest.approx(
        images[images > THRESHOLD_MEV].sum(dtype=np.float64)
    )


def test_events_without_a_node_are_counted(graph_of):
    images = np.zeros((4, 3, 3), np.float32)
    images[1, 1, 1], images[2, 1, 1] = 1, THRESHOLD_MEV / 2
    graph = graph_of(images)
    assert graph.num_events == 4
    assert graph.event.tolist() == [1]


def test_batch_of_only_empty_events_has_no_node_and_no_edge(graph_of):
    graph = graph_of(np.zeros((3, 3, 3), np.float32))
    assert graph.num_events == 3
    assert graph.feature.shape == (0, 1)
    assert graph.edge_index.shape == (2, 0)
    assert graph.edge_index.dtype == torch.int64


def test_permuted_events_are_permuted_graphs(random_images, graph_of):
    images = random_images(6, 7)
    order = np.random.default_rng(1).permutation(6)
    graph, permuted = graph_of(images), graph_of(images[order])
    for rank, event in enumerate(order):
        assert torch.equal(permuted.feature[permuted.event == rank], graph.feature[graph.event == event])
        assert edges_within(permuted, rank) == edges_within(graph, int(event))


def edges_within(graph: Graph, event: int) -> set[tuple[int, int]]:
    """Return the edges of one event, its first node being 0."""
    nodes = (graph.event == event).nonzero().flatten()
    inside = graph.event[graph.edge_index[0]] == event
    return {tuple(edge) for edge in (graph.edge_index[:, inside] - nodes[0]).T.tolist()} if len(nodes) else set()
