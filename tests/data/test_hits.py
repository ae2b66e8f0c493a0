"""Loops over hits: every length, every border."""

import numpy as np
import pytest

from cdmtrain.data.hits import copy_events, locate_events, nonzero_pixels


@pytest.mark.parametrize("length", [1, 2, 31, 32, 33, 63, 64, 65, 1000])
@pytest.mark.parametrize("density", [0.0, 0.01, 0.5, 1.0])
def test_every_lit_pixel_is_found_once(length, density):
    drawn = np.random.default_rng(length)
    bits = (drawn.random(length) < density).astype(np.uint32) << drawn.integers(0, 32, length, np.uint32)
    lit = np.full(length, -1, np.int32)
    found = nonzero_pixels(bits, lit)
    assert lit[:found].tolist() == np.flatnonzero(bits).tolist()
    assert (lit[found:] == -1).all()


def test_the_only_lit_pixel_is_found_wherever_it_is():
    for place in range(97):
        bits, lit = np.zeros(97, np.uint32), np.empty(97, np.int32)
        bits[place] = 1 << 31
        assert lit[: nonzero_pixels(bits, lit)].tolist() == [place]


def test_events_that_are_stored_elsewhere_are_left_as_they_are():
    """Two parts of a store, of events of 3, 0, 17 and 40, 1 hits: each part fills its own."""
    stored = np.array([0, 3, 3, 20, 60, 61])
    pixel, energy = np.arange(61, dtype=np.int32), np.arange(61, dtype=np.float32) / 2
    dataset_index = np.array([4, 0, 3, 1, 2, 0])
    first, offset = np.empty(6, np.int64), np.empty(7, np.int64)
    locate_events(stored, dataset_index, first, offset)
    assert offset[-1] == 64
    to_pixel, to_energy = np.full(64, -1), np.full(64, -1, np.float32)
    copy_events(pixel[:20], energy[:20], 0, first, offset, to_pixel, to_energy)
    assert to_pixel.tolist() == [-1, 0, 1, 2, *[-1] * 40, *range(3, 20), 0, 1, 2]
    copy_events(pixel[20:], energy[20:], 20, first, offset, to_pixel, to_energy)
    assert to_pixel.tolist() == [60, 0, 1, 2, *range(20, 60), *range(3, 20), 0, 1, 2]
    assert (to_energy == to_pixel / 2).all()


@pytest.mark.parametrize("entry", [-1, 2])
def test_no_event_is_made_of_memory_that_is_not_the_stores(entry):
    with pytest.raises(IndexError, match="no such event"):
        locate_events(np.array([0, 3, 5]), np.array([0, entry]), np.empty(2, np.int64), np.empty(3, np.int64))
