"""Figures with their 68 % intervals, in double precision: fractions, means, ROC areas, calibration errors."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float


class Figure(NamedTuple):
    """A figure and the ends of its 68.3 % interval; all are NaN where it is not defined."""

    value: float
    low: float
    high: float


UNDEFINED = Figure(np.nan, np.nan, np.nan)
UNCERTAINTY = "uncertainty"
CALIBRATION_BINS = 15
EQUAL_WIDTH = np.arange(1, CALIBRATION_BINS) / CALIBRATION_BINS  # the inner edges


def as_results(figures: Mapping[str, Figure | dict[str, Figure]]) -> dict[str, Any]:
    """Return the values by name, of a class or one for all, and their intervals under "uncertainty"."""
    intervals = {name: _each(figure, lambda one: [one.low, one.high]) for name, figure in figures.items()}
    return {**{name: _each(figure, lambda one: one.value) for name, figure in figures.items()}, UNCERTAINTY: intervals}


def _each(figure: Figure | dict[str, Figure], part: Callable[[Figure], Any]) -> Any:
    return part(figure) if isinstance(figure, Figure) else {name: part(one) for name, one in figure.items()}


def fraction(passed: float, total: float) -> Figure:
    """The fraction of events that pass, with its Wilson interval; undefined without an event."""
    if not total:
        return UNDEFINED
    low, high = wilson_interval(np.array(passed, float), np.array(total, float))
    return Figure(float(passed / total), float(low), float(high))


def mean(
    values: Float[np.ndarray, " event"],
    weight: Float[np.ndarray, " event"] | None = None,
    *,
    low: float = 0.0,
    high: float = np.inf,
) -> Figure:
    """The mean over events and its standard error, cut where the mean itself cannot be; undefined without an event.

    With weights, which count as exact, it is sum(w v) / sum(w) +- sqrt(sum(w^2 (v - mean)^2)) / sum(w).
    """
    if not len(values):
        return UNDEFINED
    if weight is not None:
        value = float(weight @ values / weight.sum())
        error = float(np.sqrt(weight**2 @ (values - value) ** 2) / weight.sum())
        return around(value, error, low=low, high=high)
    return around(float(values.mean()), float(values.std() / np.sqrt(max(len(values) - 1, 1))), low=low, high=high)


def around(value: float, error: float, *, low: float = 0.0, high: float = 1.0) -> Figure:
    """A figure with a symmetric interval of one standard error, cut where the figure itself cannot be."""
    return Figure(value, max(value - error, low), min(value + error, high))


def resampled(values: Float[np.ndarray, " sample"]) -> Figure:
    """The first value, with the spread of the others as its error."""
    return around(float(values[0]), float(np.nanstd(values[1:]))) if np.isfinite(values[0]) else UNDEFINED


def wilson_interval(
    passed: Float[np.ndarray, "*any"], total: Float[np.ndarray, "*any"]
) -> tuple[Float[np.ndarray, "*any"], Float[np.ndarray, "*any"]]:
    """Return the 68.3 % interval of a fraction: Wilson, J. Am. Stat. Assoc. 22 (1927) 209, with z = 1.

    centre = (p + z^2/2n) / (1 + z^2/n), half width = sqrt(p(1-p)/n + z^2/4n^2) / (1 + z^2/n). The interval stays
    inside [0, 1] and does not vanish at p = 0 or 1.
    """
    share = passed / total
    centre = (share + 0.5 / total) / (1 + 1 / total)
    half = np.sqrt(share * (1 - share) / total + 0.25 / total**2) / (1 + 1 / total)
    return np.minimum(centre - half, share), np.maximum(centre + half, share)


def roc_area(
    score: Float[np.ndarray, " event"],
    is_signal: Bool[np.ndarray, " event"],
    weight: Float[np.ndarray, " event"] | None = None,
) -> Figure:
    """The area under a ROC curve, with the interval of DeLong, DeLong and Clarke-Pearson, Biometrics 44 (1988) 837.

    It is the share of pairs of a signal and a background event in which the signal has the higher score; a tie counts
    one half. Its variance is that of a signal event's share of background below it, over the number of signal events,
    plus that of a background event's share of signal above it, over the number of background events. Undefined without
    signal or background. Weights of events count as exact.
    """
    weight = np.ones(len(score)) if weight is None else weight
    parts = is_signal, ~is_signal
    total_signal, total_background = (float(weight[part].sum()) for part in parts)
    if not total_signal or not total_background:
        return UNDEFINED
    values, place = np.unique(score, return_inverse=True)
    signal, background = (np.bincount(place[part], weight[part], minlength=len(values)) for part in parts)
    below = (np.cumsum(background) - background / 2) / total_background
    above = 1 - (np.cumsum(signal) - signal / 2) / total_signal
    area = float(signal @ below / total_signal)
    variance = 0.0
    for part, share, total in ((parts[0], below, total_signal), (parts[1], above, total_background)):
        num = int(part.sum())
        variance += weight[part] ** 2 @ (share[place[part]] - area) ** 2 / total**2 * num / max(num - 1, 1)
    return around(area, float(np.sqrt(variance)))


def calibration_error(
    probability: Float[np.ndarray, " event"],
    happened: Bool[np.ndarray, " event"],
    edges: Float[np.ndarray, " edge"],
    weight: Float[np.ndarray, " event"] | None = None,
) -> Figure:
    """sum over bins |sum over its events (happened - probability)| / events; bins are closed below, the last above too.

    The sign of each bin's gap makes it a mean over events, which gives the interval.
    """
    place = np.searchsorted(edges, probability, side="right")
    gap = happened - probability
    sign = np.sign(np.bincount(place, gap if weight is None else weight * gap, minlength=len(edges) + 1))
    return mean(sign[place] * gap, weight, high=1)


def equal_population(values: Float[np.ndarray, " event"]) -> Float[np.ndarray, " edge"]:
    """The inner edges of bins with equally many values each, as far as equal values allow."""
    bins = np.array_split(np.sort(values), CALIBRATION_BINS)
    return np.unique([one[0] for one in bins[1:] if len(one)])
