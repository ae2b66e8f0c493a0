"""The eight symmetries on coordinates are those of numpy on the dense image."""

import numpy as np
import pytest
import torch

from cdmtrain.augmentation.symmetries import Symmetries, transformed
from cdmtrain.batch import EventBatch

# symmetry number: bit 0 mirrors columns, bit 1 mirrors rows, then bit 2 swaps rows and columns
NUMPY = {
    0: lambda image: image,
    1: np.fliplr,
    2: np.flipud,
    3: lambda image: np.rot90(image, 2),
    4: np.transpose,
    5: lambda image: np.rot90(image, 1),
    6: lambda image: np.rot90(image, -1),
    7: lambda image: np.rot90(image, 2).T,
}


def dense(batch: EventBatch) -> np.ndarray:
    """Return the images (N, S, S) of a batch, hit by hit."""
    images = np.zeros((batch.num_events, batch.image_size, batch.image_size), np.float32)
    for event, pixel, energy in zip(batch.event.tolist(), batch.pixel.tolist(), batch.energy.numpy(), strict=True):
        images[event, pixel // batch.image_size, pixel % batch.image_size] = energy
    return images


def drawn(seed: int, num_draws: int) -> torch.Tensor:
    """Return the symmetries (num_draws,) a seed draws, read off one pixel that each moves elsewhere."""
    size = 4
    batch = EventBatch(
        pixel=torch.ones(num_draws, dtype=torch.int64),  # row 0, column 1
        energy=torch.ones(num_draws),
        offset=torch.arange(num_draws + 1),
        class_index=torch.zeros(num_draws, dtype=torch.int64),
        dataset_index=torch.arange(num_draws),
        image_size=size,
    )
    image = np.zeros((size, size), bool)
    image[0, 1] = True
    number = {int(turn(image).argmax()): symmetry for symmetry, turn in NUMPY.items()}
    assert len(number) == 8
    pixel = Symmetries()(batch, torch.Generator().manual_seed(seed)).pixel
    return torch.tensor([number[one] for one in pixel.tolist()])


@pytest.mark.parametrize("symmetry", NUMPY)
@pytest.mark.parametrize("size", [5, 6])
def test_a_symmetry_is_that_of_numpy_on_the_dense_image(make_batch, symmetry, size):
    batch = make_batch(4, image_size=size)
    turned = transformed(batch, torch.full((4,), symmetry))
    assert np.array_equal(dense(turned), [NUMPY[symmetry](image) for image in dense(batch)])


def test_the_eight_symmetries_are_distinct_on_an_asymmetric_image():
    image = np.arange(16).reshape(4, 4)
    assert len({turn(image).tobytes() for turn in NUMPY.values()}) == 8


def test_each_event_of_a_batch_has_its_own_symmetry(make_batch):
    batch = make_batch(8)
    turned = transformed(batch, torch.arange(8).flip(0))
    assert np.array_equal(dense(turned), [NUMPY[7 - event](image) for event, image in enumerate(dense(batch))])


def test_pixels_stay_sorted_and_unique_within_an_event(make_batch):
    turned = Symmetries()(make_batch(32, empty=[5]), torch.Generator().manual_seed(1))
    key = turned.event * turned.image_size**2 + turned.pixel
    assert (key.diff() > 0).all()
    assert ((turned.pixel >= 0) & (turned.pixel < turned.image_size**2)).all()


def test_energies_hits_and_truth_of_each_event_are_conserved(make_batch):
    batch = make_batch(32, empty=[0, 5])
    turned = Symmetries()(batch, torch.Generator().manual_seed(1))
    for event in range(32):
        before, after = batch.energy[batch.event == event], turned.energy[turned.event == event]
        assert torch.equal(before.sort().values, after.sort().values)
    for name in ("offset", "class_index", "dataset_index"):
        assert torch.equal(getattr(turned, name), getattr(batch, name))


def test_events_without_a_hit_stay_empty(make_batch):
    empty = make_batch(3, empty=[0, 1, 2])
    turned = Symmetries()(empty, torch.Generator().manual_seed(1))
    assert turned.num_hits.tolist() == [0, 0, 0]
    assert len(turned.pixel) == 0


def test_a_seed_reproduces_the_draw_and_another_seed_does_not():
    assert torch.equal(drawn(seed=1, num_draws=64), drawn(seed=1, num_draws=64))
    assert not torch.equal(drawn(seed=1, num_draws=64), drawn(seed=2, num_draws=64))


def test_global_random_state_is_not_touched(make_batch):
    batch = make_batch(4)
    before = torch.get_rng_state()
    Symmetries()(batch, torch.Generator().manual_seed(1))
    assert torch.equal(torch.get_rng_state(), before)


def test_the_draw_is_uniform():
    counts = torch.bincount(drawn(seed=1, num_draws=8000), minlength=8)
    chi_square = ((counts - 1000) ** 2 / 1000).sum().item()
    assert chi_square < 24.3  # 7 degrees of freedom pass it once in 1000 uniform draws; the seed is fixed
