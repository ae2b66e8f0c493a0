"""Batches of events with 8 x 8 pixels."""

from collections.abc import Callable

import pytest

from cdmtrain.batch import EventBatch
from tests.classifier.parts import (
    SIZE,
    Batches,
)


@pytest.fixture
def uneven(make_batch: Callable[..., EventBatch]) -> Batches:
    """Batches of 7, 4 and 1 events."""
    return Batches(*(make_batch(num_events, image_size=SIZE, seed=num_events) for num_events in (7, 4, 1)))


@pytest.fixture
def four(make_batch: Callable[..., EventBatch]) -> Batches:
    """Four batches of 6 events."""
    return Batches(*(make_batch(6, image_size=SIZE, seed=seed) for seed in range(4)))


@pytest.fixture
def one(make_batch: Callable[..., EventBatch]) -> Batches:
    """One batch of 6 events."""
    return Batches(make_batch(6, image_size=SIZE))
