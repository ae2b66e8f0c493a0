"""Dense images in memory become the batch that their file would give, or one sentence."""

import re

import numpy as np
import pytest
import torch

from cdmtrain.data.images import as_images, batch_of_images
from cdmtrain.errors import InputError


def test_images_in_memory_are_the_batch_of_their_file(random_images, write_images, store_of):
    images = random_images(6, 16)
    images[[0, 5]] = 0
    expected = store_of(write_images(images, columns={})).make_batch(torch.arange(6))
    for name, values in vars(batch_of_images(torch.from_numpy(images))).items():
        found = getattr(expected, name)
        assert torch.equal(found, values) if isinstance(values, torch.Tensor) else found == values, name


def test_dataset_indices_begin_where_they_are_told_to():
    batch = batch_of_images(torch.ones(3, 2, 2), first_index=100)
    assert batch.dataset_index.tolist() == [100, 101, 102]


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf")])
def test_an_impossible_energy_is_one_sentence(value):
    images = torch.zeros(3, 4, 4)
    images[2, 1, 3] = value
    sentence = f"image 12 has {value} at row 1, column 3; deposited energies are finite and not negative"
    with pytest.raises(InputError, match=f"^{re.escape(sentence)}$"):
        batch_of_images(images, first_index=10)


def test_images_that_are_not_square_are_one_sentence():
    with pytest.raises(InputError, match=r"^images of 4 x 5 pixels: as many rows as columns are expected$"):
        batch_of_images(torch.zeros(3, 4, 5))


@pytest.mark.parametrize("dtype", [np.float64, np.uint8, ">f4"])
def test_arrays_of_any_number_type_become_float32(dtype):
    images = as_images(np.arange(18, dtype=dtype).reshape(2, 3, 3)[:, ::-1])
    assert images.dtype == torch.float32
    assert images[1, 0].tolist() == [15, 16, 17]


@pytest.mark.parametrize("images", [np.zeros((4, 4)), np.full((1, 2, 2), "a"), [[1, 2]]])
def test_what_is_no_array_of_images_is_one_sentence(images):
    with pytest.raises(InputError, match=r"numbers of shape \(N, S, S\) are expected$"):
        as_images(images)
