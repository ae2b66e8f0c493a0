"""Dense images as events, so that a representation can be compared with the image it came from."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from cdmtrain.batch import EventBatch


@pytest.fixture
def random_images() -> Callable[..., np.ndarray]:
    """Makes images (N, S, S) float32, the last one black: random_images(5, 7, lit=0.4) lights 40 % of the pixels."""

    def make(num_events: int, size: int, *, lit: float = 0.4, seed: int = 1) -> np.ndarray:
        rng = np.random.default_rng(seed)
        shape = (num_events, size, size)
        images = np.where(rng.random(shape) < lit, rng.exponential(0.5, shape), 0).astype(np.float32)
        images[-1] = 0
        return images

    return make


@pytest.fixture
def batch_of() -> Callable[[np.ndarray], EventBatch]:
    """Makes the EventBatch of images (N, S, S)."""

    def make(images: np.ndarray) -> EventBatch:
        event, row, column = images.nonzero()
        num_hits = np.bincount(event, minlength=len(images))
        return EventBatch(
            pixel=torch.from_numpy(row * images.shape[2] + column),
            energy=torch.from_numpy(images[event, row, column]),
            offset=torch.from_numpy(np.append(0, num_hits.cumsum())),
            class_index=torch.arange(len(images)) % 4,
            dataset_index=torch.arange(len(images)),
            image_size=images.shape[2],
        )

    return make
