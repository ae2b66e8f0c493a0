"""Every definition of neighbours agrees with a search through all pairs of pixels of an event."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch_geometric.utils import coalesce, grid, remove_self_loops

from cdmtrain.batch import Hits
from cdmtrain.errors import InputError
from cdmtrain.representation import neighbours
from cdmtrain.representation.hits import HitsRepresentation
from cdmtrain.representation.neighbours import EightNeighbours, FourNeighbours, NearestNeighbours, RadiusNeighbours

BY_DISTANCE = {  # which offsets (rows, columns) join two pixels
    "four": (FourNeighbours(), lambda rows, columns: abs(rows) + abs(columns) == 1),
    "eight": (EightNeighbours(), lambda rows, columns: max(abs(rows), abs(columns)) == 1),
    "radius 1": (RadiusNeighbours(radius_px=1.0), lambda rows, columns: rows**2 + columns**2 <= 1),
    "radius 2.3": (RadiusNeighbours(radius_px=2.3), lambda rows, columns: rows**2 + columns**2 <= 5),
    "radius 3": (RadiusNeighbours(radius_px=3.0), lambda rows, columns: rows**2 + columns**2 <= 9),
    "radius of the image": (RadiusNeighbours(radius_px=100.0), lambda rows, columns: True),
}
Pixels = list[tuple[int, int, int]]  # event, row, column

every_definition = pytest.mark.parametrize(
    "find",
    [find for find, _ in BY_DISTANCE.values()] + [NearestNeighbours(k=k) for k in (1, 3, 30)],
    ids=[*BY_DISTANCE, "nearest 1", "nearest 3", "nearest 30"],
)


@pytest.fixture
def hits_of(batch_of) -> Callable[[np.ndarray], Hits]:
    return lambda images: HitsRepresentation()(batch_of(images))


@pytest.fixture(params=[1, 7, 2**16], ids=lambda number: f"{number} pairs at a time")
def _parts(request, monkeypatch) -> None:
    monkeypatch.setitem(neighbours.CANDIDATES_AT_A_TIME, "cpu", request.param)


def pixels_of(images: np.ndarray) -> Pixels:
    return list(zip(*(axis.tolist() for axis in images.nonzero()), strict=True))


def edges_of(edge_index: torch.Tensor) -> list[tuple[int, int]]:
    return [(source, target) for source, target in edge_index.T.tolist()]


def k_nearest(pixels: Pixels, k: int) -> list[tuple[int, int]]:
    """Edges to each pixel from its k nearest, nearest first; of equally far ones the smaller number first."""
    edges = []
    for target, (event, row, column) in enumerate(pixels):
        others = [(s, r, c) for s, (e, r, c) in enumerate(pixels) if e == event and s != target]
        ranked = sorted(((r - row) ** 2 + (c - column) ** 2, s) for s, r, c in others)
        edges += [(source, target) for _, source in ranked[:k]]
    return edges


@pytest.mark.parametrize("find", [FourNeighbours(), EightNeighbours(), *(NearestNeighbours(k=k) for k in (1, 3, 30))])
def test_a_cpu_lists_the_edges_that_other_devices_list_in_their_order(find, hits_of, monkeypatch):
    lit = np.random.default_rng(4).random((6, 9, 9)) < np.array([0, 1, 0.05, 0.3, 0.6, 0.02])[:, None, None]
    lit = lit.astype(np.float32)
    on_cpu = find(hits_of(lit))
    monkeypatch.setattr(neighbours, "_on_cpu", lambda hits: False)
    assert torch.equal(on_cpu, find(hits_of(lit)))


@pytest.mark.parametrize("name", BY_DISTANCE)
@pytest.mark.parametrize(("size", "lit"), [(1, 1.0), (2, 0.6), (9, 0.1), (9, 0.5), (6, 1.0)])
def test_pixels_at_the_right_offsets_are_joined_once_each_way(name, size, lit, random_images, hits_of):
    images = random_images(5, size, lit=lit, seed=size)
    images[2] = 0
    find, joins = BY_DISTANCE[name]
    pixels = list(enumerate(pixels_of(images)))
    expected = [
        (s, t) for s, (e, r, c) in pixels for t, (f, q, d) in pixels if s != t and e == f and joins(q - r, d - c)
    ]
    assert sorted(edges_of(find(hits_of(images)))) == sorted(expected)


@pytest.mark.usefixtures("_parts")
@pytest.mark.parametrize("k", [1, 2, 5, 60])
@pytest.mark.parametrize(("size", "lit"), [(2, 0.6), (12, 0.05), (8, 0.3), (5, 1.0)])
def test_each_pixel_has_edges_from_its_k_nearest_in_order(k, size, lit, random_images, hits_of):
    images = random_images(4, size, lit=lit, seed=size)
    images[1] = 0
    images[2, :] = 0
    images[2, size // 2, 0] = 1  # alone
    edges = edges_of(NearestNeighbours(k=k)(hits_of(images)))
    assert edges == k_nearest(pixels_of(images), k)


@pytest.mark.usefixtures("_parts")
def test_a_radius_graph_does_not_depend_on_the_size_of_a_part(random_images, hits_of):
    images = random_images(4, 9)
    pixels, joins = list(enumerate(pixels_of(images))), BY_DISTANCE["radius 3"][1]
    expected = {
        (s, t) for s, (e, r, c) in pixels for t, (f, q, d) in pixels if s != t and e == f and joins(q - r, d - c)
    }
    edges = edges_of(RadiusNeighbours(radius_px=3.0)(hits_of(images)))
    assert len(edges) == len(expected)
    assert set(edges) == expected


def test_the_nearest_may_be_many_rows_away(hits_of):
    images = np.zeros((1, 192, 192), np.float32)
    images[0, [0, 60, 191], [5, 190, 5]] = 1
    assert edges_of(NearestNeighbours(k=2)(hits_of(images))) == k_nearest(pixels_of(images), 2)


def test_a_nearer_pixel_just_outside_the_first_rows_is_found(hits_of):
    images = np.zeros((2, 40, 40), np.float32)
    images[0, [20, 20, 23, 17], [20, 24, 20, 20]] = 1  # four columns away, three rows below and above
    images[1, [20, 20, 17], [20, 23, 20]] = 1  # as far: the smaller number is above
    assert edges_of(NearestNeighbours(k=1)(hits_of(images))) == k_nearest(pixels_of(images), 1)


def test_full_images_have_the_edges_of_pygs_grid(hits_of):
    edge_index = EightNeighbours()(hits_of(np.ones((1, 7, 7), np.float32)))
    expected = remove_self_loops(grid(7, 7)[0])[0]
    assert torch.equal(coalesce(edge_index), coalesce(expected))


@every_definition
def test_batches_of_isolated_pixels_have_no_edge(find, hits_of):
    alone = np.zeros((3, 5, 5), np.float32)
    alone[[0, 2], [4, 0], [4, 0]] = 1
    for images in (alone, np.zeros((2, 5, 5), np.float32)):
        edge_index = find(hits_of(images))
        assert edge_index.shape == (2, 0)
        assert edge_index.dtype == torch.int64


@every_definition
def test_an_event_has_the_edges_that_it_has_alone(find, random_images, hits_of):
    images = random_images(5, 8)
    hits = hits_of(images)
    together = {(s, t) for s, t in edges_of(find(hits))}
    alone = {
        (s + first, t + first)
        for image, first in zip(images, hits.offset.tolist(), strict=False)
        for s, t in edges_of(find(hits_of(image[None])))
    }
    assert together == alone


@pytest.mark.parametrize("radius_px", [0.0, 0.9, -1.0, float("nan")])
def test_a_radius_below_one_pixel_is_refused_in_one_sentence(radius_px):
    with pytest.raises(InputError, match=r"^representation\.neighbours\.radius_px=\S+: at least 1 pixel is expected$"):
        RadiusNeighbours(radius_px=radius_px)


@pytest.mark.parametrize("k", [0, -3])
def test_fewer_than_one_neighbour_is_refused_in_one_sentence(k):
    with pytest.raises(InputError, match=r"^representation\.neighbours\.k=-?\d: at least 1 neighbour is expected$"):
        NearestNeighbours(k=k)
