"""Batches straight from a file are the batches of its store, in order, whatever the blocks and the batch size."""

import pytest
import torch

from cdmtrain.data import hdf5_images
from cdmtrain.data.hdf5 import ChallengeFile
from cdmtrain.data.stream import stream_batches
from cdmtrain.particles import DEFAULT


@pytest.mark.parametrize("block_images", [1, 3, 100])
@pytest.mark.parametrize("batch_size", [1, 4, 11, 50])
def test_streamed_batches_are_those_of_the_store(
    block_images, batch_size, random_images, write_images, store_of, monkeypatch
):
    monkeypatch.setattr(hdf5_images, "BLOCK_BYTES", block_images * 4 * 16**2)
    images = random_images(11, 16)
    images[[0, 4, 10]] = 0
    path = write_images(images)
    store = store_of(path)
    with ChallengeFile(path) as file:
        batches = list(stream_batches(file, DEFAULT, batch_size=batch_size))
    expected = torch.arange(11).split(batch_size)
    assert len(batches) == len(expected)
    for batch, dataset_index in zip(batches, expected, strict=True):
        for name, values in vars(store.make_batch(dataset_index)).items():
            found = getattr(batch, name)
            assert torch.equal(found, values) if isinstance(values, torch.Tensor) else found == values, name
            assert not isinstance(values, torch.Tensor) or found.dtype == values.dtype, name
