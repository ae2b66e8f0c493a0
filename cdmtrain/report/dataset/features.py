"""Features of an event's image that a tree can split on: energies, pixel spectrum, clusters, blips, track, ends, box.

All are computed from the lit pixels alone, in one compiled pass. They are many and general on purpose: whoever tunes a
simulation to a few figures finds out here what the others say.
"""

import numpy as np

from cdmtrain.compiled import jit
from cdmtrain.report.dataset.measure import Floats, Ints
from cdmtrain.report.dataset.shape import (
    bend,
    count_neighbours,
    distances,
    find_clusters,
    kinks,
    median,
    principal_axis,
    slices,
)

SPECTRUM_MEV = (0.055, 0.07, 0.1, 0.15, 0.22, 0.3, 0.4, 0.55, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 10.0, 20.0)
ENDS_PX = (2.0, 5.0, 10.0, 20.0)  # lengths of the ends of a track in which its energy is summed
NEAR_PX, FAR_PX = 10.0, 40.0  # blips are near the track, between, or far
ISOLATED, BRIGHT_BLIP_MEV = 1, 1.0  # pixels of a blip that is one pixel; energy above which a blip is bright

ENERGY = (
    "lit_pixels", "sum_mev", "sum_squares_mev2", "brightest_mev", "second_mev", "brightest_five_share",
    "median_pixel_mev", "lower_pixel_mev", "upper_pixel_mev", "mean_log_pixel", "spread_log_pixel",
)  # fmt: skip
SPECTRUM = (*(f"pixels_below_{edge:g}_mev" for edge in SPECTRUM_MEV), "pixels_above_20_mev")
BOX = (
    "box_long_px", "box_short_px", "border_pixels", "border_mev", "border_sides", "centre_to_middle_px", "spread_px",
    "narrow_spread_px",
)  # fmt: skip
CLUSTERS = (
    "clusters", "isolated_pixels", "isolated_mev", "brightest_isolated_mev", "median_blip_mev", "mean_blip_mev",
    "brightest_blip_mev", "bright_blips", "largest_blip_pixels", "blip_share", "farthest_blip_px", "median_blip_px",
    "nearest_blip_px", "near_blips", "middle_blips", "far_blips", "near_blip_mev", "far_blip_mev",
)  # fmt: skip
TRACK = (
    "track_pixels", "track_mev", "track_length_px", "track_rms_px", "track_rms_unweighted_px", "widest_px", "bend_px",
    "largest_kink", "second_kink", "rms_kink", "track_median_mev", "track_mev_per_px", "track_pixels_per_px",
    "track_faint_pixels", "neighbour_contrast",
)  # fmt: skip
NEIGHBOURS = (*(f"pixels_with_{n}_neighbours" for n in range(5)), "pixels_with_more_neighbours")
ENDS = (
    *(f"{end}_end_{length:g}_px_mev" for end in ("bright", "faint") for length in ENDS_PX),
    "bright_end_brightest_mev", "bright_end_brightest_from_end_px", "asymmetry",
)  # fmt: skip
FEATURES = ENERGY + SPECTRUM + BOX + CLUSTERS + TRACK + NEIGHBOURS + ENDS


@jit
def write_energies(energy: np.ndarray, out: np.ndarray) -> int:
    """The features of ENERGY and SPECTRUM; returns how many."""
    ordered, logs = np.sort(energy), np.log(energy)
    last = energy.size - 1
    out[0], out[1], out[2], out[3] = energy.size, energy.sum(), (energy * energy).sum(), ordered[last]
    out[4] = ordered[max(last - 1, 0)]
    out[5] = ordered[max(last - 4, 0) :].sum() / out[1]
    out[6], out[7], out[8] = ordered[last // 2], ordered[last // 10], ordered[last - last // 10]
    out[9], out[10] = logs.mean(), logs.std()
    first = 11
    for value in energy:
        n = 0
        while n < len(SPECTRUM_MEV) and value >= SPECTRUM_MEV[n]:
            n += 1
        out[first + n] += 1
    return first + len(SPECTRUM_MEV) + 1


@jit
def write_box(rows: np.ndarray, columns: np.ndarray, energy: np.ndarray, size: int, out: np.ndarray) -> int:
    """The features of BOX; returns how many."""
    height, width = rows.max() - rows.min() + 1, columns.max() - columns.min() + 1
    out[0], out[1] = max(height, width), min(height, width)
    for hit in range(rows.size):
        if min(rows[hit], columns[hit], size - 1 - rows[hit], size - 1 - columns[hit]) == 0:
            out[2] += 1
            out[3] += energy[hit]
    out[4] = int(rows.min() == 0) + int(rows.max() == size - 1)
    out[4] += int(columns.min() == 0) + int(columns.max() == size - 1)
    cx, cy, _, _, out[6], out[7] = principal_axis(rows, columns, energy)
    out[5] = max(abs(cx - 0.5 * (size - 1)), abs(cy - 0.5 * (size - 1)))
    return 8


@jit
def write_blips(
    cluster: np.ndarray, pixels: np.ndarray, sums: np.ndarray, track: int, distance: np.ndarray, out: np.ndarray
) -> int:
    """The features of CLUSTERS; returns how many."""
    nearest = np.full(sums.size, np.inf)
    for hit in range(cluster.size):
        nearest[cluster[hit]] = min(nearest[cluster[hit]], distance[hit])
    is_blip = np.arange(sums.size) != track
    blips, near, pixels_of = sums[is_blip], nearest[is_blip], pixels[is_blip]
    out[0] = sums.size
    if blips.size == 0:
        return 18
    alone = pixels_of == ISOLATED
    out[1], out[2] = alone.sum(), blips[alone].sum()
    if alone.any():
        out[3] = blips[alone].max()
    out[4], out[5], out[6] = median(blips), blips.mean(), blips.max()
    out[7], out[8], out[9] = (blips > BRIGHT_BLIP_MEV).sum(), pixels_of.max(), blips.sum() / sums.sum()
    out[10], out[11], out[12] = near.max(), median(near), near.min()
    out[13], out[15] = (near < NEAR_PX).sum(), (near >= FAR_PX).sum()
    out[14] = blips.size - out[13] - out[15]
    out[16], out[17] = blips[near < NEAR_PX].sum(), blips[near >= FAR_PX].sum()
    return 18


@jit
def write_track(
    x: np.ndarray, y: np.ndarray, energy: np.ndarray, axis: np.ndarray, contrast: float, out: np.ndarray
) -> int:
    """The features of TRACK; returns how many. `axis` is filled with the positions along it, from 0."""
    cx, cy, u, v, _, out[3] = principal_axis(x, y, energy)
    across = np.empty(axis.size)
    for hit in range(axis.size):
        axis[hit], across[hit] = (x[hit] - cx) * u + (y[hit] - cy) * v, (y[hit] - cy) * u - (x[hit] - cx) * v
    first = axis.min()
    for hit in range(axis.size):
        axis[hit] -= first
    length = axis.max() + 1
    out[0], out[1], out[2] = energy.size, energy.sum(), length
    out[4], out[5] = across.std(), np.abs(across).max()
    centres, sides = slices(axis, across, energy)
    out[6] = bend(centres, sides)
    out[7], out[8], out[9] = kinks(centres, sides)
    out[10], out[11], out[12] = median(energy), energy.sum() / length, energy.size / length
    out[13], out[14] = (energy < 0.3).sum(), contrast
    return 15


@jit
def write_ends(axis: np.ndarray, energy: np.ndarray, out: np.ndarray) -> int:
    """The features of ENDS, for the brighter and the fainter end of the track; returns how many."""
    sums, last = np.zeros((2, len(ENDS_PX) + 1)), axis.max()
    for hit in range(axis.size):
        for end, from_end in enumerate((axis[hit], last - axis[hit])):
            for n in range(len(ENDS_PX)):
                if from_end < ENDS_PX[n]:
                    sums[end, n] += energy[hit]
            if from_end < 0.5 * last:
                sums[end, -1] += energy[hit]
    bright, n = 0 if sums[0, 1] >= sums[1, 1] else 1, len(ENDS_PX)
    for length in range(n):
        out[length], out[n + length] = sums[bright, length], sums[1 - bright, length]
    n *= 2
    for hit in range(energy.size):
        from_end = axis[hit] if bright == 0 else last - axis[hit]
        if from_end < ENDS_PX[-1] and energy[hit] > out[n]:
            out[n], out[n + 1] = energy[hit], from_end
    out[n + 2] = sums[bright, -1] / energy.sum()
    return n + 3


@jit
def neighbour_contrast(rows: np.ndarray, columns: np.ndarray, energy: np.ndarray, hit_at: np.ndarray) -> float:
    """Mean difference of ln E between lit pixels that share a side; 0 where none do."""
    total, pairs, size = 0.0, 0, hit_at.shape[0]
    for hit in range(rows.size):
        for down, right in ((1, 0), (0, 1)):
            row, column = rows[hit] + down, columns[hit] + right
            if row < size and column < size and hit_at[row, column] >= 0:
                total += abs(np.log(energy[hit] / energy[hit_at[row, column]]))
                pairs += 1
    return total / max(pairs, 1)


@jit
def write_event(pixel: np.ndarray, energy: np.ndarray, hit_at: np.ndarray, out: np.ndarray) -> None:
    """All features of one event with at least one lit pixel; `hit_at` is -1 everywhere, before and after."""
    size = hit_at.shape[0]
    rows, columns = pixel // size, pixel % size
    for hit in range(pixel.size):
        hit_at[rows[hit], columns[hit]] = hit
    cluster, neighbours = np.empty(pixel.size, np.int64), np.empty(pixel.size, np.int64)
    number = find_clusters(rows, columns, hit_at, cluster)
    count_neighbours(rows, columns, hit_at, neighbours)
    contrast = neighbour_contrast(rows, columns, energy, hit_at)
    sums, pixels = np.zeros(number), np.zeros(number)
    for hit in range(pixel.size):
        hit_at[rows[hit], columns[hit]] = -1
        sums[cluster[hit]] += energy[hit]
        pixels[cluster[hit]] += 1
    track = np.argmax(sums)
    in_track, distance = cluster == track, np.empty(pixel.size)
    distances(rows, columns, in_track, distance)
    first = write_energies(energy, out)
    first += write_box(rows, columns, energy, size, out[first:])
    first += write_blips(cluster, pixels, sums, track, distance, out[first:])
    x, y, axis = rows[in_track] * 1.0, columns[in_track] * 1.0, np.empty(in_track.sum())
    first += write_track(x, y, energy[in_track], axis, contrast, out[first:])
    for hit in range(pixel.size):
        out[first + min(neighbours[hit], len(NEIGHBOURS) - 1)] += 1
    write_ends(axis, energy[in_track], out[first + len(NEIGHBOURS) :])


@jit
def write_events(
    offset: np.ndarray, pixel: np.ndarray, energy_mev: np.ndarray, size: int, features: np.ndarray
) -> None:
    """Fill `features` (event, feature); those of an event without a lit pixel stay 0."""
    hit_at = np.full((size, size), -1)
    for event in range(offset.size - 1):
        own = slice(offset[event], offset[event + 1])
        is_lit = energy_mev[own] > 0
        if is_lit.any():
            write_event(pixel[own][is_lit], energy_mev[own][is_lit], hit_at, features[event])


def image_features(offset: Ints, pixel: Ints, energy_mev: Floats, *, image_size: int) -> Floats:
    """Return (event, feature): the FEATURES of every event, in float32.

    Args:
        offset: (event + 1,) where each event's pixels begin.
        pixel: (hit,) row * image_size + column.
        energy_mev: (hit,) energies; pixels without energy are ignored.
    """
    features = np.zeros((len(offset) - 1, len(FEATURES)))
    write_events(offset.astype(np.int64), pixel.astype(np.int64), energy_mev.astype(np.float64), image_size, features)
    return features.astype(np.float32)
