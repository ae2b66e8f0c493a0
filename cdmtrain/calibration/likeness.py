"""How unlike the training sample an event is: its distance in the features of the network, as a p-value.

The distance is Mahalanobis' to the nearest class, with one covariance for all classes (Lee 2018, arXiv:1807.03888), in
the directions in which the features of training events vary most.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

MOST_DIRECTIONS = 32
MOST_REFERENCES = 5000  # distances that are kept to count by
UNLIKE = 0.01  # a p-value below it
MANY = 0.05  # of the events, of which UNLIKE are expected
NEGLIGIBLE = 1e-6  # of the largest variance: a direction that does not vary tells nothing

Features = Float[np.ndarray, "event feature"]


@dataclass(frozen=True)
class Likeness:
    """The training sample in the features of one network, as plain lists."""

    centre: list[float]  # (feature,)
    directions: list[list[float]]  # (feature, direction), of unit variance
    class_means: list[list[float]]  # (class, direction), of the classes that occur
    precision: list[list[float]]  # (direction, direction), the inverse of the covariance within classes


def fit_likeness(features: Features, truth: Int[np.ndarray, " event"]) -> Likeness:
    """Describe training events: their main directions, the mean of each class and the covariance about these."""
    centre = features.mean(0)
    directions = _main_directions(features - centre)
    reduced = (features - centre) @ directions
    classes, place = np.unique(truth, return_inverse=True)
    means = np.stack([reduced[truth == number].mean(0) for number in classes])
    within = reduced - means[place]
    covariance = within.T @ within / len(within)
    floor = NEGLIGIBLE * max(float(np.trace(covariance)), 1.0) * np.eye(len(covariance))
    precision = np.linalg.inv(covariance + floor)
    arrays = (centre, directions, means, precision)
    return Likeness(*(_rounded(one).tolist() for one in arrays))


def _main_directions(centred: Features) -> Float[np.ndarray, "feature direction"]:
    """Return the principal directions, divided by the standard deviation along them, by the smaller of two matrices."""
    num_events, num_features = centred.shape
    if num_features <= num_events:
        variance, vectors = np.linalg.eigh(centred.T @ centred / num_events)
    else:
        variance, events = np.linalg.eigh(centred @ centred.T / num_events)
        vectors = centred.T @ events / np.sqrt(num_events * variance.clip(min=1e-300))
    kept = np.flatnonzero(variance > NEGLIGIBLE * variance.max())[::-1][:MOST_DIRECTIONS]
    return vectors[:, kept] / np.sqrt(variance[kept])


def _rounded(values: np.ndarray) -> np.ndarray:
    """The values as they are written to a file: six digits of the largest are enough."""
    largest = float(np.abs(values).max(initial=0.0))
    return values.round(6 - int(np.floor(np.log10(largest)))) if largest else values


class Distance:
    """The squared Mahalanobis distance of events to the nearest class of the training sample."""

    def __init__(self, likeness: Likeness) -> None:
        self._centre, self._precision = np.array(likeness.centre), np.array(likeness.precision)
        self._directions, self._means = np.array(likeness.directions), np.array(likeness.class_means)

    def __call__(self, features: Features) -> Float[np.ndarray, " event"]:
        reduced = (features - self._centre) @ self._directions
        apart = [reduced - mean for mean in self._means]
        return np.min([np.einsum("en,nm,em->e", one, self._precision, one) for one in apart], axis=0)


def references(distances: Float[np.ndarray, " event"]) -> list[float]:
    """Return what p-values are counted by: the ordered distances of validation events, at most MOST_REFERENCES."""
    ordered = np.sort(distances)
    chosen = np.linspace(0, len(ordered) - 1, min(len(ordered), MOST_REFERENCES)).round().astype(int)
    return [float(f"{one:.6g}") for one in ordered[chosen]]


def are_many(num_unlike: int, num_events: int) -> bool:
    """Whether more events have a p-value below UNLIKE than a sample like that of the training would have by chance."""
    expected = UNLIKE * num_events
    return num_unlike > max(MANY * num_events, expected + 3 * expected**0.5)


def p_values(distances: Float[np.ndarray, " event"], reference: Sequence[float]) -> Float[np.ndarray, " event"]:
    """Return the share of validation events at least as far, the event itself included: uniform if events are alike."""
    num_farther = len(reference) - np.searchsorted(np.array(reference), distances, side="left")
    return (1 + num_farther) / (1 + len(reference))
