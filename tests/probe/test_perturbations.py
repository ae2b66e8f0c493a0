"""Each perturbation changes every event as its name says, and in no other way."""

from collections.abc import Callable

import pytest
import torch

from cdmtrain.batch import EventBatch
from cdmtrain.probe.perturbations import (
    hits_reordered,
    nodes_renumbered,
    perturbations,
    pixels_permuted,
    shifted,
    turned,
)
from cdmtrain.representation.features import Energy
from cdmtrain.representation.graph import GraphRepresentation
from cdmtrain.representation.hits import HitsRepresentation
from cdmtrain.representation.image import ImageRepresentation
from cdmtrain.representation.sequence import SequenceRepresentation


@pytest.fixture
def batch(make_batch: Callable[..., EventBatch]) -> EventBatch:
    return make_batch(9, image_size=16, empty=[4])


def images(batch: EventBatch) -> torch.Tensor:
    return ImageRepresentation()(batch).energy[:, 0]


@pytest.mark.parametrize("by", [1, 3])
def test_a_shift_moves_whole_events_or_leaves_them_unchanged(batch, by):
    changed, whole = shifted(batch, by=by)
    assert whole.any()
    assert not whole.all()
    for before, after, moved in zip(images(batch), images(changed), whole.tolist(), strict=True):
        shifts = [(0, by), (0, -by), (by, 0), (-by, 0)]
        if not moved:
            assert torch.equal(after, before)
        elif before.any():
            assert any(torch.equal(after, before.roll(shift, (0, 1))) for shift in shifts)
            assert not torch.equal(after, before)


def test_a_shift_goes_left_if_a_shift_to_the_right_loses_pixels():
    batch = EventBatch(
        pixel=torch.tensor([3, 7]),  # the last column of 4 x 4 pixels
        energy=torch.ones(2),
        offset=torch.tensor([0, 2]),
        class_index=torch.tensor([0]),
        dataset_index=torch.tensor([0]),
        image_size=4,
    )
    changed, whole = shifted(batch, by=2)
    assert changed.pixel.tolist() == [1, 5]
    assert whole.tolist() == [True]


def test_symmetries_turn_and_mirror_the_image(batch):
    for one in perturbations(seed=1):
        if one.group == "symmetry":
            changed, whole = one.change(batch)
            expected = {
                "mirror columns": images(batch).flip(2),
                "mirror rows": images(batch).flip(1),
                "turn by 90 degrees": images(batch).rot90(1, (1, 2)),
                "turn by 180 degrees": images(batch).flip(1, 2),
            }[one.name]
            assert whole is None  # every event counts
            assert torch.equal(images(changed), expected), one.name
    assert torch.equal(images(turned(batch, symmetry=0)[0]), images(batch))


def test_pixels_of_all_images_are_permuted_alike_and_reproducibly(batch):
    changed, again, other = (pixels_permuted(batch, seed=seed)[0] for seed in (1, 1, 2))
    assert torch.equal(images(changed), images(again))
    assert not torch.equal(images(changed), images(other))
    order = torch.zeros(256, dtype=torch.int64)
    order[torch.randperm(256, generator=torch.Generator().manual_seed(1))] = torch.arange(256)
    assert torch.equal(images(changed).flatten(1), images(batch).flatten(1)[:, order])
    inside = changed.event.diff() == 0
    assert (changed.pixel.diff()[inside] > 0).all()  # ascending, as an EventBatch promises


def test_nodes_of_each_event_are_renumbered_together_with_their_edges(batch):
    graph = GraphRepresentation(threshold_mev=0.0)(batch)
    changed, _ = nodes_renumbered(graph, seed=1)
    assert torch.equal(changed.event, graph.event)
    assert not torch.equal(changed.feature, graph.feature)
    ends = lambda one: sorted(map(tuple, one.feature[one.edge_index, 0].T.tolist()))  # noqa: E731
    assert ends(changed) == ends(graph)


def test_hits_of_each_event_are_reordered_with_their_features_and_padding_stays(batch):
    sequence = SequenceRepresentation()(batch)
    changed, _ = hits_reordered(sequence, seed=1)
    assert not torch.equal(changed.feature, sequence.feature)
    for before, after in zip(sequence.feature, changed.feature, strict=True):
        assert sorted(before.tolist()) == sorted(after.tolist())
    assert not changed.feature[~sequence.mask].any()
    hits = HitsRepresentation(features={"energy": Energy()})(batch)
    changed_hits, _ = hits_reordered(hits, seed=1)
    assert not torch.equal(changed_hits.pixel, hits.pixel)
    assert torch.equal(changed_hits.feature[:, 0], changed_hits.energy)
    for one in range(hits.num_events):
        of = slice(*hits.offset[one : one + 2].tolist())
        pairs = [sorted(zip(h.pixel[of].tolist(), h.energy[of].tolist(), strict=True)) for h in (hits, changed_hits)]
        assert pairs[0] == pairs[1]
