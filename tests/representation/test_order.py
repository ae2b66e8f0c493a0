"""The hits of each event come in the order chosen, and events stay apart."""

import numpy as np
import pytest
import torch

from cdmtrain.representation.order import EnergyOrder, PrincipalAxisOrder, RasterOrder
from cdmtrain.representation.scale import LogScale
from cdmtrain.representation.sequence import SequenceRepresentation

ORDERS = {"raster": RasterOrder(), "energy": EnergyOrder(), "principal_axis": PrincipalAxisOrder()}

every_order = pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS)


def slow_projections(image: np.ndarray) -> np.ndarray:
    """Return where each hit of an image (S, S) lies along the axis of most spread, from numpy's eigenvectors."""
    row, column = image.nonzero()
    position = np.stack([column, row]).astype(np.float64)
    weight = image[row, column].astype(np.float64)
    centred = position - np.average(position, axis=1, weights=weight, keepdims=True)
    axis = np.linalg.eigh(weight * centred @ centred.T)[1][:, -1]
    sign = axis[0] if abs(axis[0]) > 1e-9 else axis[1]
    return np.sign(sign) * axis @ centred


@every_order
def test_an_order_is_a_permutation_within_each_event(order, random_images, batch_of):
    images = random_images(6, 9)
    images[2] = 0
    batch = batch_of(images)
    which = order(batch)
    assert torch.equal(which.sort().values, torch.arange(len(batch.pixel)))
    assert torch.equal(batch.event[which], batch.event)


def test_energies_descend_and_equal_ones_are_in_raster_order(random_images, batch_of):
    images = np.round(random_images(6, 9), 1)  # some are equal
    batch = batch_of(images)
    which = EnergyOrder()(batch)
    for event in range(6):
        mine = which[batch.event == event]
        expected = sorted(mine.tolist(), key=lambda hit: (-batch.energy[hit].item(), hit))
        assert mine.tolist() == expected


def test_hits_are_ordered_along_the_principal_axis_that_numpy_finds(random_images, batch_of):
    images = random_images(40, 12, lit=0.2)[:-1]
    batch = batch_of(images)
    which = PrincipalAxisOrder()(batch)
    for event, image in enumerate(images):
        along = slow_projections(image)[(which - batch.offset[event])[batch.event == event].numpy()]
        assert (np.diff(along) > -1e-4).all()  # float32: hits as near to one another may be exchanged


@pytest.mark.parametrize(
    ("rows", "columns", "expected"),
    [
        ([2, 2, 2], [6, 1, 4], [1, 2, 0]),  # along a row: to larger columns
        ([6, 1, 4], [2, 2, 2], [1, 2, 0]),  # along a column: to larger rows
        ([1, 2, 3], [5, 4, 3], [2, 1, 0]),  # falling: to larger columns still
        ([1, 3, 5], [5, 6, 7], [0, 1, 2]),
        ([3], [4], [0]),
        ([0, 0, 1, 1], [0, 1, 0, 1], [0, 2, 1, 3]),  # alike in all directions: by column
    ],
)
@pytest.mark.parametrize("scale", [LogScale(reference_mev=0.1), None])
def test_the_sign_of_the_axis_is_the_documented_one(rows, columns, expected, scale, batch_of):
    image = np.zeros((1, 8, 8), np.float32)
    image[0, rows, columns] = 1
    sequence = SequenceRepresentation(order=PrincipalAxisOrder(), **({"scale": scale} if scale else {}))(
        batch_of(image)
    )
    positions = (sequence.feature[0, :, 1:] * 7).round().int().tolist()
    assert positions == [[rows[hit], columns[hit]] for hit in expected]


def test_a_transposed_track_has_the_same_order(batch_of):
    images = np.zeros((2, 16, 16), np.float32)
    for step in range(10):
        images[0, 3 + step // 3, 2 + step] = 1 + step  # a flat track, and the same one mirrored at the diagonal
        images[1, 2 + step, 3 + step // 3] = 1 + step
    energy = SequenceRepresentation(order=PrincipalAxisOrder())(batch_of(images)).feature[:, :, 0]
    assert energy[0].tolist() == energy[1].tolist() == list(range(1, 11))


@every_order
def test_a_sequence_has_every_hit_with_its_own_features(order, random_images, batch_of):
    images = random_images(5, 9)
    batch = batch_of(images)
    sequence = SequenceRepresentation(order=order)(batch)
    for image, feature, mask in zip(images, sequence.feature, sequence.mask, strict=True):
        found = sorted((round(r * 8), round(c * 8), e) for e, r, c in feature[mask].tolist())
        assert found == [(r, c, image[r, c]) for r, c in np.ndindex(9, 9) if image[r, c]]


@every_order
def test_an_event_has_the_order_it_has_alone(order, random_images, batch_of):
    images = random_images(5, 9)
    together = SequenceRepresentation(order=order)(batch_of(images))
    for event in range(5):
        alone = SequenceRepresentation(order=order)(batch_of(images[event : event + 1]))
        assert torch.equal(together.feature[event][together.mask[event]], alone.feature[0][alone.mask[0]])
