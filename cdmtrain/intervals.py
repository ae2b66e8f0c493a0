"""Figures with their 68 % intervals, in double precision: fractions, means, and areas under ROC curves."""

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


def mean(values: Float[np.ndarray, " event"], *, low: float = 0.0, high: float = np.inf) -> Figure:
    """The mean over events and its standard error, cut where the mean itself cannot be; undefined without an event."""
    if not len(values):
        return UNDEFINED
    return around(float(values.mean()), float(values.std() / np.sqrt(max(len(values) - 1, 1))), low=low, high=high)


def around(value: float, error: float, *, low: float = 0.0, high: float = 1.0) -> Figure:
    """A figure with a symmetric interval of one standard error, cut where the figure itself cannot be."""
    return Figure(value, max(value - error, low), min(value + error, high))


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


def roc_area(score: Float[np.ndarray, " event"], is_signal: Bool[np.ndarray, " event"]) -> Figure:
    """The area under a ROC curve, with the interval of DeLong, DeLong and Clarke-Pearson, Biometrics 44 (1988) 837.

    It is the share of pairs of a signal and a background event in which the signal has the higher score; a tie counts
    one half. Its variance is that of a signal event's share of background below it, over the number of signal events,
    plus that of a background event's share of signal above it, over the number of background events. Undefined without
    signal or background.
    """
    num_signal, num_background = int(is_signal.sum()), int((~is_signal).sum())
    if not num_signal or not num_background:
        return UNDEFINED
    values, place = np.unique(score, return_inverse=True)
    signal, background = (np.bincount(place[chosen], minlength=len(values)) for chosen in (is_signal, ~is_signal))
    below = (np.cumsum(background) - background / 2) / num_background
    above = 1 - (np.cumsum(signal) - signal / 2) / num_signal
    area = float(signal @ below / num_signal)
    variance = signal @ (below - area) ** 2 / (num_signal * max(num_signal - 1, 1))
    variance += background @ (above - area) ** 2 / (num_background * max(num_background - 1, 1))
    return around(area, float(np.sqrt(variance)))
