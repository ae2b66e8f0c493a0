"""Between the hits of many events and some of them, between dense images and their lit pixels: one pass each."""

import numpy as np
from jaxtyping import Float32, Int32, Int64, UInt32

from cdmtrain.compiled import jit

CACHE_LINE = 16  # numbers of 32 bits
STRIDE = 16  # words of 64 bits that are looked at together


@jit
def place_events(
    stored: Int64[np.ndarray, " stored_plus_1"],
    dataset_index: Int64[np.ndarray, " event"],
    first: Int64[np.ndarray, " event"],
    offset: Int64[np.ndarray, " event_plus_1"],
) -> int:
    """Write where the hits of each event begin among all that are stored, and where they will; how many they are."""
    offset[0] = 0
    for event in range(len(dataset_index)):
        if not 0 <= dataset_index[event] < len(stored) - 1:
            raise IndexError("there is no such event")
        first[event] = stored[dataset_index[event]]
        offset[event + 1] = offset[event] + stored[dataset_index[event] + 1] - first[event]
    return offset[-1]


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
    """Copy the hits that begin at `first` to `offset[i] : offset[i + 1]`; events that are not among those stored stay.

    Events lie far apart in memory. They are all touched before any is copied, so that the processor waits for many at
    a time: 40 us for 100 events in place of 100. What is returned keeps the compiler from leaving that out.
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
def nonzero_pixels(bits: UInt32[np.ndarray, " pixel"], lit: Int32[np.ndarray, " pixel"]) -> int:
    """Write the places of pixels with any bit set, ascending, to the beginning of `lit`; how many they are."""
    words = bits[: len(bits) // 2 * 2].view(np.uint64)
    strides = len(words) // STRIDE * STRIDE
    found = 0
    for first in range(0, strides, STRIDE):
        any_bit = np.uint64(0)
        for word in range(STRIDE):
            any_bit |= words[first + word]
        if any_bit != 0:
            for place in range(2 * first, 2 * (first + STRIDE)):
                if bits[place] != 0:
                    lit[found] = place
                    found += 1
    for place in range(2 * strides, len(bits)):
        if bits[place] != 0:
            lit[found] = place
            found += 1
    return found
