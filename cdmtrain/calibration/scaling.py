"""Calibrate probabilities by a few numbers fitted to validation events (Guo 2017, arXiv:1706.04599, section 4)."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

LEAST_LOG = -500.0  # of a probability: one of zero must not make the fit infinite
MOST_STEPS = 100
SMALLEST_STEP = 1e-10
FOLDS = 5  # of the cross-validation that decides between the two kinds of scaling
PRIOR_WIDTH = 1.0  # of each fitted number about the identity

LogProbability = Float[np.ndarray, "event class"]
Truth = Int[np.ndarray, " event"]


class Scaling(NamedTuple):
    """q = softmax(scale * log p + bias): calibrated probabilities q from those of a network, p."""

    scale: Float[np.ndarray, " class"]  # 1 / temperature of each class
    bias: Float[np.ndarray, " class"]

    def apply(self, log_p: LogProbability) -> LogProbability:
        """Return log q."""
        z = self.scale * np.maximum(log_p, LEAST_LOG) + self.bias
        return z - np.logaddexp.reduce(z, axis=1, keepdims=True)


def fit_scaling(log_p: LogProbability, truth: Truth) -> Scaling:
    """Fit one temperature or, where it pays, a scale and a bias for each class.

    Both minimise the cross entropy. The second is taken if it has the lower cross entropy in a cross-validation, by
    more than the standard error of the difference.
    """
    one, each = np.empty(len(truth)), np.empty(len(truth))
    fold = np.arange(len(truth)) % FOLDS
    for number in range(FOLDS if len(truth) >= FOLDS else 0):
        fit, held_out = fold != number, fold == number
        for loss, scaling in ((one, fit_temperature), (each, fit_classes)):
            found = scaling(log_p[fit], truth[fit]).apply(log_p[held_out])
            loss[held_out] = -found[np.arange(len(found)), truth[held_out]]
    gain = one - each
    pays = len(truth) >= FOLDS and gain.mean() > gain.std() / np.sqrt(len(gain))
    return (fit_classes if pays else fit_temperature)(log_p, truth)


def fit_temperature(log_p: LogProbability, truth: Truth) -> Scaling:
    """Fit one temperature T for all classes: q = softmax(log p / T)."""
    z = np.maximum(log_p, LEAST_LOG)
    (scale,) = _minimise(z[:, :, None], truth, start=np.ones(1))
    return Scaling(np.full(z.shape[1], scale), np.zeros(z.shape[1]))


def fit_classes(log_p: LogProbability, truth: Truth) -> Scaling:
    """Fit a scale and a bias for each class: Guo's vector scaling, of log p in place of the logits."""
    z = np.maximum(log_p, LEAST_LOG)
    num_classes = z.shape[1]
    diagonal = np.broadcast_to(np.eye(num_classes), (*z.shape, num_classes))
    start = np.repeat([1.0, 0.0], num_classes)
    found = _minimise(np.concatenate([z[:, :, None] * diagonal, diagonal], axis=2), truth, start=start)
    return Scaling(found[:num_classes], found[num_classes:])


def _minimise(
    factor: Float[np.ndarray, "event class number"], truth: Truth, *, start: Float[np.ndarray, " number"]
) -> Float[np.ndarray, " number"]:
    """Return the numbers t that minimise the cross entropy of softmax(factor @ t), a convex function, by Newton steps.

    A Gaussian prior of width PRIOR_WIDTH about `start` keeps them finite for events without a mistake; among a thousand
    events it is not noticed.
    """
    events = np.arange(len(truth))
    found, value = start, _cross_entropy(factor, truth, start, start)
    for _ in range(MOST_STEPS):
        z = factor @ found
        q = np.exp(z - np.logaddexp.reduce(z, axis=1, keepdims=True))
        mean = np.einsum("ek,ekn->en", q, factor)
        centred = factor - mean[:, None]
        gradient = (mean - factor[events, truth]).sum(0) + (found - start) / PRIOR_WIDTH**2
        curvature = np.einsum("ek,ekn,ekm->nm", q, centred, centred, optimize=True)
        step = np.linalg.solve(curvature + np.eye(len(start)) / PRIOR_WIDTH**2, gradient)
        while (new := _cross_entropy(factor, truth, found - step, start)) > value and np.abs(
            step
        ).max() > SMALLEST_STEP:
            step = step / 2
        found, value = found - step, min(new, value)
        if np.abs(step).max() <= SMALLEST_STEP:
            break
    return found


def _cross_entropy(
    factor: Float[np.ndarray, "event class number"],
    truth: Truth,
    numbers: Float[np.ndarray, " number"],
    start: Float[np.ndarray, " number"],
) -> float:
    z = factor @ numbers
    loss = np.logaddexp.reduce(z, axis=1) - z[np.arange(len(truth)), truth]
    return float(loss.sum() + ((numbers - start) ** 2).sum() / (2 * PRIOR_WIDTH**2))
