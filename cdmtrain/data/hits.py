"""Loops over hits that numpy would need several passes for: choosing events, finding the pixels of an image."""

import numpy as np
from jaxtyping import Float32, Int32, Int64, UInt32

from cdmtrain.compiled import jit

CACHE_LINE = 16  # numbers of 32 bits
STRIDE = 16  # words of 64 bits that are tested together


@jit
def locate_events(
    stored: Int64[np.ndarray, " stored_plus_1"],
    dataset_index: Int64[np.ndarray, " event"],
    first: Int64[np.ndarray, " event"],
    offset: Int64[np.ndarray, " event_plus_1"],
) -> None:
    """Write where the hits of each chosen event begin in the store, and where in the batch.

    Args:
        stored: offsets of all events in the store.
        dataset_index: the chosen events.
        first: filled with the first hit of each in the store.
        offset: filled with their offsets in the batch.
    """
    offset[0] = 0
    for event in range(len(dataset_index)):
        if not 0 <= dataset_index[event] < len(stored) - 1:
            raise IndexError("there is no such event")
        first[event] = stored[dataset_index[event]]
        offset[event + 1] = offset[event] + stored[dataset_index[event] + 1] - first[event]


@jit
def copy_events(
    pixel: Int32[np.ndarray, " stored"],
    energy: Float32[np.ndarray, " stored"],
    first_stored: int,
    first: Int64[np.ndarray, " event"],
    offset: Int64[np.ndarray, " event_plus_1"],
    to_pixel: Int64[np.ndarray, " hit"],
    to_energy: Float32[np.ndarray, " hit"],
) -> int:
    """Copy hits from one part of a store into a batch; events that lie in other parts are left alone.

    Args:
        pixel, energy: the hits of this part, which begins at hit `first_stored` of the store.
        first, offset: as `locate_events` wrote them.
        to_pixel, to_energy: the batch.

    Events lie far apart in memory. One pass touches them all before any is copied, so that the processor waits for many
    at a time: 40 us instead of 100 us for 100 events. The return value only keeps the compiler from removing that pass.
    """
    touched = 0
    for event in range(len(first)):
        start = first[event] - first_stored
        end = start + offset[event + 1] - offset[event]
        if start >= 0 and end <= len(pixel):
            for hit in range(start, end, CACHE_LINE):
                touched += pixel[hit] + (energy[hit] > 0)
    for event in range(len(first)):
        start, begin, length = first[event] - first_stored, offset[event], offset[event + 1] - offset[event]
        if start >= 0 and start + length <= len(pixel):
            for hit in range(length):
                to_pixel[begin + hit] = pixel[start + hit]
            for hit in range(length):
                to_energy[begin + hit] = energy[start + hit]
    return touched


@jit
def nonzero_pixels(bits: UInt32[np.ndarray, " pixel"], position: Int32[np.ndarray, " pixel"]) -> int:
    """Write the positions of pixels with any bit set to the beginning of `position`, ascending; return their number."""
    words = bits[: len(bits) // 2 * 2].view(np.uint64)
    strides = len(words) // STRIDE * STRIDE
    found = 0
    for first in range(0, strides, STRIDE):
        any_bit = np.uint64(0)
        for word in range(STRIDE):
            any_bit |= words[first + word]
        if any_bit != 0:
            for pixel in range(2 * first, 2 * (first + STRIDE)):
                if bits[pixel] != 0:
                    position[found] = pixel
                    found += 1
    for pixel in range(2 * strides, len(bits)):
        if bits[pixel] != 0:
            position[found] = pixel
            found += 1
    return found
