"""Dense images are the images the events came from."""

from dataclasses import replace

import numpy as np
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


def test_the_gradient_of_an_energy_is_that_of_its_pixel(random_images, batch_of):
    batch = batch_of(random_images(3, 8))
    batch = replace(batch, energy=batch.energy.requires_grad_())
    image = ImageRepresentation()(batch).energy
    weight = torch.arange(image.numel(), dtype=torch.float32).view_as(image)
    (image * weight).sum().backward()
    assert torch.equal(batch.energy.grad, weight.flatten(1)[batch.event, batch.pixel])
