"""Cuts on the probabilities of classes: which events pass, and with what efficiency, purity and rejection."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Float, Int

from cdmtrain.errors import InputError
from cdmtrain.intervals import Figure, fraction, mean


def check_cuts(cuts: Mapping[str, object], classes: Sequence[str]) -> dict[str, float]:
    """Return the least probability of each class that has one.

    Raises:
        InputError: for a class that the network does not know, or a number that is no probability.
    """
    for name, value in cuts.items():
        if name not in classes:
            raise InputError(f"cut.{name}: the network tells apart {', '.join(classes)}; choose one of these")
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
            raise InputError(f"cut.{name}={value}: a probability from 0 to 1 is expected")
    return {name: float(value) for name, value in cuts.items() if isinstance(value, int | float)}


def passes(
    probability: Float[np.ndarray, "event class"], cuts: Mapping[str, float], classes: Sequence[str]
) -> dict[str, Bool[np.ndarray, " event"]]:
    """Return for each class with a cut which events have at least that probability of it."""
    return {name: probability[:, list(classes).index(name)] >= cut for name, cut in cuts.items()}


def cut_figures(
    passed: Mapping[str, Bool[np.ndarray, " event"]],
    truth: Int[np.ndarray, " event"],
    classes: Sequence[str],
    prior: Float[np.ndarray, " class"] | None = None,
) -> dict[str, Figure | dict[str, Figure]]:
    """Return what each cut keeps: share of its class, share of its class in what passes, 1 / share of all others.

    Args:
        passed: which events pass the cut on each class that has one.
        truth: class index of the events.
        classes: names of the classes.
        prior: shares of the classes in the mix that purity and rejection are for; None for that of the events.
    """
    weight = None if prior is None else (prior / np.bincount(truth, minlength=len(classes)).clip(min=1))[truth]
    figures: dict[str, dict[str, Figure]] = {"cut_efficiency": {}, "cut_purity": {}, "cut_rejection": {}}
    for name, one in passed.items():
        is_class = truth == list(classes).index(name)
        figures["cut_efficiency"][name] = fraction((one & is_class).sum(), is_class.sum())
        figures["cut_purity"][name] = _share(is_class[one], None if weight is None else weight[one])
        kept = _share(one[~is_class], None if weight is None else weight[~is_class])
        figures["cut_rejection"][name] = _inverse(kept)
    return dict(figures)


def _share(happened: Bool[np.ndarray, " event"], weight: Float[np.ndarray, " event"] | None) -> Figure:
    if weight is None or not weight.any():
        return fraction(happened.sum(), len(happened))
    return mean(happened.astype(float), weight, high=1)


def _inverse(kept: Figure) -> Figure:
    """1 / kept; where nothing is kept the lower end of its interval alone."""
    value, low, high = (1 / one if one > 0 else float("nan") for one in (kept.value, kept.high, kept.low))
    return Figure(value, low, high)
