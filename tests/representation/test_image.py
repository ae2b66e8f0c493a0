"""Dense images are the images the events came from."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from cdmtrain.representation.image import ImageRepresentation


def test_dense_image_is_the_original_bit_for_bit(random_images, batch_of):
    images = random_images(7, 9)
    dense = ImageRepresentation()(batch_of(images)).energy.numpy()
    assert dense.dtype == np.float32
    assert dense.tobytes() == images[:, None].tobytes()


def test_faintest_and_brightest_floats_and_corner_pixels_survive(batch_of):
    images = np.zeros((2, 3, 3), np.float32)
    limits = np.finfo(np.float32)
    images[0, [0, 0, 2, 2], [0, 2, 0, 2]] = [limits.smallest_subnormal, limits.tiny, limits.max, 1]
    assert np.array_equal(ImageRepresentation()(batch_of(images)).energy.numpy()[:, 0], images)


def test_event_without_a_hit_is_a_black_image(random_images, batch_of):
    images = random_images(4, 6)
    images[[0, 2]] = 0
    image = ImageRepresentation()(batch_of(images))
    assert image.num_events == 4
    assert image.energy.flatten(1).count_nonzero(1).gt(0).tolist() == [False, True, False, False]


def test_batch_of_only_empty_events_is_black(batch_of):
    image = ImageRepresentation()(batch_of(np.zeros((3, 5, 5), np.float32)))
    assert image.energy.shape == (3, 1, 5, 5)
    assert not image.energy.any()


def test_energy_of_each_event_is_conserved(random_images, batch_of):
    images = random_images(7, 9)
    total = ImageRepresentation()(batch_of(images)).energy.double().sum((1, 2, 3))
    torch.testing.assert_close(total, torch.from_numpy(images.sum((1, 2), dtype=np.float64)))  # double sums of the same


def test_permuted_events_are_permuted_images(random_images, batch_of):
    images = random_images(7, 9)
    order = np.random.default_rng(1).permutation(7)
    permuted = ImageRepresentation()(batch_of(images[order])).energy
    assert torch.equal(permuted, ImageRepresentation()(batch_of(images)).energy[order])


def test_memory_that_nobody_holds_is_used_again_and_the_images_are_those_of_new_memory(random_images, batch_of):
    again, places = ImageRepresentation(), set()
    for seed in range(5):
        images = random_images(3, 8, seed=seed)
        dense = again(batch_of(images)).energy
        places.add(dense.data_ptr())
        assert dense.numpy().tobytes() == images[:, None].tobytes()
        del dense
    assert len(places) == 1


@pytest.mark.parametrize(
    "hold",
    [
        lambda dense: dense,
        lambda dense: dense[1:, :, 2],
        lambda dense: dense.numpy(),
    ],
    ids=["images", "part", "array"],
)
def test_memory_that_somebody_holds_is_left_alone(hold, random_images, batch_of):
    represent = ImageRepresentation()
    batch = batch_of(random_images(3, 8))
    dense = represent(batch).energy
    place, before, held = dense.data_ptr(), dense.clone(), hold(dense)
    del dense
    other = represent(batch_of(random_images(3, 8, seed=2))).energy
    assert other.data_ptr() != place
    assert np.array_equal(held, hold(before))


def test_images_that_a_gradient_needs_are_left_alone(random_images, batch_of):
    represent, weight = ImageRepresentation(), torch.ones(1, requires_grad=True)
    images = random_images(3, 8)
    loss = (represent(batch_of(images)).energy * weight).sum()
    represent(batch_of(random_images(3, 8, seed=2)))
    loss.backward()
    assert weight.grad.item() == pytest.approx(images.sum(), rel=1e-5)


def test_images_that_somebody_changed_are_not_used_again(random_images, batch_of):
    represent, images = ImageRepresentation(), random_images(3, 8)
    represent(batch_of(images)).energy.sub_(0.5)
    assert represent(batch_of(images)).energy.numpy().tobytes() == images[:, None].tobytes()


@pytest.mark.parametrize("size", [4, 8])
def test_batches_of_other_sizes_and_without_gradients_share_no_memory(size, random_images, batch_of):
    represent, images = ImageRepresentation(), random_images(3, size)
    represent(batch_of(random_images(5, 8)))
    for mode in (torch.inference_mode, torch.no_grad, torch.enable_grad):
        with mode():
            assert represent(batch_of(images)).energy.numpy().tobytes() == images[:, None].tobytes()


def test_a_gradient_with_respect_to_energies_leaves_no_trace(random_images, batch_of):
    represent, batch = ImageRepresentation(), batch_of(random_images(3, 8))
    watched = replace(batch, energy=batch.energy.clone().requires_grad_())
    represent(watched).energy.sum().backward()
    assert watched.energy.grad.eq(1).all()
    assert not represent(batch).energy.requires_grad
