"""Features of events are those computed event by event, are appended to every hit, and keep their invariances."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from cdmtrain.augmentation.shifts import shifted
from cdmtrain.augmentation.symmetries import transformed
from cdmtrain.batch import EventBatch
from cdmtrain.representation.event_features import BorderDistance, Energy, Extent, NumHits, event_features
from cdmtrain.representation.features import ENERGY_AND_POSITION
from cdmtrain.representation.graph import GraphRepresentation
from cdmtrain.representation.hits import HitsRepresentation
from cdmtrain.representation.scale import LogScale
from cdmtrain.representation.sequence import SequenceRepresentation

ALL = {"num_hits": NumHits(), "energy": Energy(), "extent": Extent(), "border_distance": BorderDistance()}
LOG = LogScale(reference_mev=0.1)

every_feature = pytest.mark.parametrize("name", ALL)


def features_of(batch: EventBatch, *names: str) -> torch.Tensor:
    return event_features({name: ALL[name] for name in names or ALL}, batch)


def expected_of(row: np.ndarray, column: np.ndarray, energy: np.ndarray, size: int) -> np.ndarray:
    """The values of one event with hits, before ln(1 + value)."""
    spreads = [
        np.sqrt(np.linalg.eigvalsh(np.cov(row, column, bias=True, aweights=weight))[::-1].clip(min=0))
        for weight in (energy, np.ones_like(energy))
    ]
    gaps = [(axis.min(), size - 1 - axis.max()) for axis in (row, column)]
    sums = [len(row), energy.sum(), (energy**2).sum(), energy.max()]
    return np.concatenate([sums, *spreads, [min(gap) for gap in gaps], [max(gap) for gap in gaps]])


@pytest.mark.parametrize("backwards", [False, True])
def test_they_are_those_computed_event_by_event(backwards, masked_images):
    batch = masked_images.drawn(6, 12, fraction=0.1).batch
    if backwards:  # the hits of an event in descending order
        batch = replace(batch, pixel=143 - batch.pixel)
    for event, found in enumerate(features_of(batch).expm1().numpy()):
        hits = slice(*batch.offset[event : event + 2].tolist())
        if event == 1:  # without a hit
            np.testing.assert_allclose(found, [0] * 8 + [11] * 4, atol=1e-9)
            continue
        pixel, energy = batch.pixel[hits].numpy(), batch.energy[hits].numpy()
        np.testing.assert_allclose(found, expected_of(pixel // 12, pixel % 12, energy, 12), atol=1e-6)


@every_feature
def test_a_feature_has_as_many_columns_as_it_says(name, make_batch):
    assert features_of(make_batch(3), name).shape == (3, ALL[name].num_columns)


def test_the_columns_come_in_the_order_chosen(make_batch):
    batch = make_batch(4)
    expected = [features_of(batch, "border_distance"), features_of(batch, "num_hits")]
    assert torch.equal(features_of(batch, "border_distance", "num_hits"), torch.cat(expected, 1))


@every_feature
def test_an_event_has_the_features_that_it_has_alone(name, random_images, batch_of):
    images = random_images(5, 9)
    together = features_of(batch_of(images), name)
    alone = [features_of(batch_of(images[event : event + 1]), name) for event in range(5)]
    torch.testing.assert_close(together, torch.cat(alone))


@pytest.mark.parametrize("name", ["num_hits", "energy", "extent"])
def test_they_are_invariant_under_shifts_and_symmetries(name, random_images, batch_of):
    images = np.pad(random_images(6, 9), [(0, 0), (4, 4), (4, 4)])
    batch = batch_of(images)
    moved = shifted(batch, torch.tensor([3, -4, 0, 1, 2, -1]), torch.tensor([-4, 2, 4, 0, 1, 3]))
    assert len(moved.pixel) == len(batch.pixel)
    for symmetry in range(8):
        turned = transformed(moved, torch.full((6,), symmetry))
        # sums in another order; the root of a variance that is zero but for rounding
        torch.testing.assert_close(features_of(turned, name), features_of(batch, name), rtol=1e-4, atol=2e-3)


def test_border_distances_are_invariant_under_mirrors_and_exchanged_by_a_transposition(random_images, batch_of):
    batch = batch_of(random_images(6, 9, lit=0.05))
    here = features_of(batch, "border_distance")
    for mirror in range(4):
        assert torch.equal(features_of(transformed(batch, torch.full((6,), mirror)), "border_distance"), here)
    transposed = transformed(batch, torch.full((6,), 4))
    assert torch.equal(features_of(transposed, "border_distance"), here[:, [1, 0, 3, 2]])


def test_energies_are_in_mev_and_hits_complete_under_every_scale_and_threshold(random_images, batch_of):
    batch = batch_of(random_images(5, 9))
    expected = features_of(batch)
    graph = GraphRepresentation(threshold_mev=0.4, scale=LOG, event_features=ALL)(batch)
    assert len(graph.event) < len(batch.pixel)
    assert torch.equal(graph.feature[:, 1:], expected[graph.event])
    hits = HitsRepresentation(scale=LOG, features=ENERGY_AND_POSITION, event_features=ALL)(batch)
    assert torch.equal(hits.feature[:, 3:], expected[batch.event])
    assert torch.equal(hits.event_feature, expected)
    assert torch.equal(hits.feature[:, 0], hits.energy)
    assert torch.equal(hits.energy, LOG(batch.energy))


def test_sequences_have_them_at_every_hit_and_zeros_at_padding(random_images, batch_of):
    batch = batch_of(random_images(5, 9))
    sequence = SequenceRepresentation(event_features=ALL)(batch)
    expected = features_of(batch).unsqueeze(1) * sequence.mask.unsqueeze(2)
    assert torch.equal(sequence.feature[..., 3:], expected)


@pytest.mark.parametrize(
    "represent", [GraphRepresentation(threshold_mev=0.1), HitsRepresentation(), SequenceRepresentation()]
)
def test_without_them_a_representation_has_the_features_of_hits_alone(represent, make_batch):
    with_them = type(represent)(
        **({"threshold_mev": 0.1} if isinstance(represent, GraphRepresentation) else {}), event_features=ALL
    )
    batch = make_batch(4)
    without = represent(batch).feature
    assert torch.equal(with_them(batch).feature[..., : without.shape[-1]], without)
    assert with_them(batch).feature.shape[-1] == without.shape[-1] + 12
