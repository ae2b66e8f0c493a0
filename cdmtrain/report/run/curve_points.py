"""The points of ROC curves, reliability diagrams and efficiency curves."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


def roc_points(score: Floats, is_signal: Bools) -> tuple[Floats, Floats]:
    """Return the fractions of background and of signal above a threshold that falls through `score`.

    Events of equal score pass together, so a tie is a straight line. Empty without signal or without background.

    Shapes: `score` and `is_signal` (event,); both results (point,), from (0, 0) to (1, 1).
    """
    num_signal, num_background = int(is_signal.sum()), int((~is_signal).sum())
    if not num_signal or not num_background:
        return np.empty(0), np.empty(0)
    order = np.argsort(-score, kind="stable")
    last_of_tie = np.append(np.diff(score[order]) != 0, True)
    signal = np.cumsum(is_signal[order])[last_of_tie] / num_signal
    background = np.cumsum(~is_signal[order])[last_of_tie] / num_background
    return _corners(np.concatenate([[0.0], background]), np.concatenate([[0.0], signal]))


def _corners(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Leave out the points inside a horizontal or vertical step; the curve stays the same."""
    inside = np.zeros(len(x), dtype=bool)
    inside[1:-1] = ((x[:-2] == x[1:-1]) & (x[1:-1] == x[2:])) | ((y[:-2] == y[1:-1]) & (y[1:-1] == y[2:]))
    return x[~inside], y[~inside]


def binomial_interval(passed: Floats, total: Floats) -> tuple[Floats, Floats]:
    """Return the 68.3 % interval of a fraction: Wilson, J. Am. Stat. Assoc. 22 (1927) 209, with z = 1.

    centre = (p + z^2/2n) / (1 + z^2/n), half width = sqrt(p(1-p)/n + z^2/4n^2) / (1 + z^2/n). The interval stays
    inside [0, 1] and does not vanish at p = 0 or 1.
    """
    fraction = passed / total
    centre = (fraction + 0.5 / total) / (1 + 1 / total)
    half = np.sqrt(fraction * (1 - fraction) / total + 0.25 / total**2) / (1 + 1 / total)
    return np.minimum(centre - half, fraction), np.maximum(centre + half, fraction)


def equal_population_bins(value: Floats, *, most_bins: int, fewest_events: int) -> list[NDArray[np.intp]]:
    """Return the indices of the events in each bin, in rising `value`.

    There are at most `most_bins` bins, each with `fewest_events` or more, but at least one bin. Events of equal value
    share a bin, so pixel counts with many ties give fewer bins.
    """
    if not len(value):
        return []
    num_bins = max(1, min(most_bins, len(value) // fewest_events))
    edges = np.unique(np.quantile(value, np.linspace(0, 1, num_bins + 1))[1:-1])
    index = np.searchsorted(edges, value, side="left")
    return [events for number in range(len(edges) + 1) if len(events := np.flatnonzero(index == number))]


def reliability(confidence: Floats, is_right: Bools, *, num_bins: int = 15) -> tuple[Floats, Floats, Floats]:
    """Return the mean confidence, the right events and all events of each bin of equal width that is not empty.

    These are the bins of the expected calibration error: Guo et al., ICML 2017, arXiv:1706.04599, equations 2 and 3.
    """
    index = np.minimum((confidence * num_bins).astype(int), num_bins - 1)
    weights = np.stack([confidence, is_right, np.ones_like(confidence)])
    summed, right, events = np.stack([np.bincount(index, weight, num_bins) for weight in weights])
    filled = events > 0
    return summed[filled] / events[filled], right[filled], events[filled]
