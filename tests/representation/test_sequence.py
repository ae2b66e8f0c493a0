"""Sequences list the hits of each event row by row and end in padding."""

import numpy as np
import pytest
import torch

from cdmtrain.representation.sequence import SequenceRepresentation


@pytest.fixture
def sequence_of(batch_of):
    return lambda images: SequenceRepresentation()(batch_of(images))


def test_hits_are_in_raster_order_with_energy_row_and_column(random_images, sequence_of):
    images = random_images(5, 9)
    sequence = sequence_of(images)
    for image, feature, mask in zip(images, sequence.feature, sequence.mask, strict=True):
        hits = [(image[r, c], r / 8, c / 8) for r, c in np.ndindex(9, 9) if image[r, c]]
        assert mask.tolist() == [True] * len(hits) + [False] * (len(mask) - len(hits))
        assert feature[mask].tolist() == [pytest.approx(hit, rel=1e-6) for hit in hits]  # float32 quotients


def test_padding_is_zero_and_ends_with_the_longest_event(random_images, sequence_of):
    images = random_images(5, 9)
    sequence = sequence_of(images)
    assert sequence.feature.shape == (5, (images > 0).sum((1, 2)).max(), 3)
    assert sequence.mask.shape == sequence.feature.shape[:2]
    assert not sequence.feature[~sequence.mask].any()


def test_rows_and_columns_run_from_zero_to_one(sequence_of):
    images = np.zeros((1, 5, 5), np.float32)
    images[0, [0, 4], [4, 0]] = 1
    assert sequence_of(images).feature[0, :, 1:].tolist() == [[0, 1], [1, 0]]


def test_energy_of_each_event_is_conserved(random_images, sequence_of):
    images = random_images(5, 9)
    total = sequence_of(images).feature[:, :, 0].double().sum(1)
    torch.testing.assert_close(total, torch.from_numpy(images.sum((1, 2), dtype=np.float64)))  # double sums of the same


def test_event_without_a_hit_is_padding_only(random_images, sequence_of):
    images = random_images(4, 6)
    images[1] = 0
    assert sequence_of(images).mask.any(1).tolist() == [True, False, True, False]


def test_batch_of_only_empty_events_is_one_padded_hit_long(sequence_of):
    sequence = sequence_of(np.zeros((3, 6, 6), np.float32))
    assert sequence.num_events == 3
    assert sequence.feature.shape == (3, 1, 3)
    assert not sequence.feature.any()
    assert not sequence.mask.any()


def test_permuted_events_are_permuted_sequences(random_images, sequence_of):
    images = random_images(6, 7)
    order = np.random.default_rng(1).permutation(6)
    sequence, permuted = sequence_of(images), sequence_of(images[order])
    assert torch.equal(permuted.feature, sequence.feature[order])
    assert torch.equal(permuted.mask, sequence.mask[order])
