"""Follow the lit pixels of one event: clusters, gaps between them, the axis of the largest and what happens along it.

A cluster is a set of lit pixels of which each touches another, by a side or a corner. The largest by energy is called
the track, also where it is the core of a shower; the others are its blips.
"""

import math

import numpy as np

from cdmtrain.compiled import jit

SLICE_PX = 8  # pixels along the axis, over which the track's position is averaged to find its kinks


@jit
def find_clusters(rows: np.ndarray, columns: np.ndarray, hit_at: np.ndarray, cluster: np.ndarray) -> int:
    """Number the clusters in `cluster`, and return how many there are; `hit_at` is -1 where a pixel is dark."""
    stack, found, size = np.empty(rows.size, np.int64), 0, hit_at.shape[0]
    cluster[:] = -1
    for first in range(rows.size):
        if cluster[first] >= 0:
            continue
        cluster[first], stack[0], waiting = found, first, 1
        while waiting > 0:
            waiting -= 1
            hit = stack[waiting]
            for row in range(max(rows[hit] - 1, 0), min(rows[hit] + 2, size)):
                for column in range(max(columns[hit] - 1, 0), min(columns[hit] + 2, size)):
                    other = hit_at[row, column]
                    if other >= 0 and cluster[other] < 0:
                        cluster[other] = found
                        stack[waiting] = other
                        waiting += 1
        found += 1
    return found


@jit
def count_neighbours(rows: np.ndarray, columns: np.ndarray, hit_at: np.ndarray, neighbours: np.ndarray) -> None:
    """Count the lit pixels among the eight around each."""
    size = hit_at.shape[0]
    for hit in range(rows.size):
        neighbours[hit] = -1
        for row in range(max(rows[hit] - 1, 0), min(rows[hit] + 2, size)):
            for column in range(max(columns[hit] - 1, 0), min(columns[hit] + 2, size)):
                neighbours[hit] += hit_at[row, column] >= 0


@jit
def distances(rows: np.ndarray, columns: np.ndarray, in_track: np.ndarray, distance: np.ndarray) -> None:
    """Pixels from each hit to the nearest of the track; 0 in the track."""
    for hit in range(rows.size):
        nearest = 0.0 if in_track[hit] else np.inf
        if not in_track[hit]:
            for other in range(rows.size):
                if in_track[other]:
                    nearest = min(nearest, (rows[hit] - rows[other]) ** 2 + (columns[hit] - columns[other]) ** 2)
        distance[hit] = math.sqrt(nearest)


@jit
def median(values: np.ndarray) -> float:
    """The median; numba's own takes longer to compile."""
    ordered = np.sort(values)
    return 0.5 * (ordered[(values.size - 1) // 2] + ordered[values.size // 2])


@jit
def principal_axis(x: np.ndarray, y: np.ndarray, weight: np.ndarray) -> tuple[float, float, float, float, float, float]:
    """Centre, direction of the largest spread, rms along it and across it, of weighted points.

    Loops, as in features.py, since numba takes half a second to compile an expression of arrays.
    """
    total, cx, cy = 0.0, 0.0, 0.0
    for n in range(x.size):
        total, cx, cy = total + weight[n], cx + weight[n] * x[n], cy + weight[n] * y[n]
    cx, cy = cx / total, cy / total
    xx, yy, xy = 0.0, 0.0, 0.0
    for n in range(x.size):
        xx += weight[n] * (x[n] - cx) ** 2 / total
        yy += weight[n] * (y[n] - cy) ** 2 / total
        xy += weight[n] * (x[n] - cx) * (y[n] - cy) / total
    angle = 0.5 * math.atan2(2 * xy, xx - yy)
    mean, half = 0.5 * (xx + yy), math.sqrt(0.25 * (xx - yy) ** 2 + xy * xy)
    return cx, cy, math.cos(angle), math.sin(angle), math.sqrt(mean + half), math.sqrt(max(mean - half, 0.0))


@jit
def slices(along: np.ndarray, across: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean positions along and across in slices of SLICE_PX from the first pixel on; empty slices are left out."""
    number = int(along.max() / SLICE_PX) + 1
    sums = np.zeros((3, number))
    for hit in range(along.size):
        n = int(along[hit] / SLICE_PX)
        sums[0, n] += weight[hit]
        sums[1, n] += weight[hit] * along[hit]
        sums[2, n] += weight[hit] * across[hit]
    lit = sums[0] > 0
    return sums[1][lit] / sums[0][lit], sums[2][lit] / sums[0][lit]


@jit
def kinks(along: np.ndarray, across: np.ndarray) -> tuple[float, float, float]:
    """Largest and second largest angle between successive slices, and the rms of all, in radians."""
    largest, second, squares = 0.0, 0.0, 0.0
    for n in range(1, along.size - 1):
        before = math.atan2(across[n] - across[n - 1], along[n] - along[n - 1])
        kink = abs(math.atan2(across[n + 1] - across[n], along[n + 1] - along[n]) - before)
        squares += kink * kink
        if kink > largest:
            largest, second = kink, largest
        else:
            second = max(second, kink)
    return largest, second, math.sqrt(squares / max(along.size - 2, 1))


@jit
def bend(along: np.ndarray, across: np.ndarray) -> float:
    """Rms of the slices about the straight line between the first and the last, pixels."""
    if along.size < 3:
        return 0.0
    slope = (across[-1] - across[0]) / (along[-1] - along[0])
    return math.sqrt(((across - across[0] - slope * (along - along[0])) ** 2).mean())
