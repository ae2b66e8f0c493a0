"""Sets of classes that hold the true one with a probability that is asked for: split conformal prediction.

The score is the probability of a class ("least ambiguous classifier", Sadinle, Lei and Wasserman, J. Am. Stat. Assoc.
114 (2019) 223): of all sets with the same coverage these are the smallest on average. A set may be empty: no class is
likely enough.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int

from cdmtrain.intervals import Figure, fraction, mean

LEVELS = (90, 95, 99)  # per cent of the events

Probability = Float[np.ndarray, "event class"]
Truth = Int[np.ndarray, " event"]


def least_probabilities(
    probability: Probability, truth: Truth, level: float, *, per_class: bool
) -> Float[np.ndarray, " class"]:
    """Return the least probability with which each class belongs to the set of an event.

    Of n events like those given and one more, the set of the one more holds its true class with a probability of at
    least `level`, whatever the network: the limit is the floor((n + 1) (1 - level))-th smallest probability that an
    event gives its true class (Vovk 2005, Algorithmic Learning in a Random World).

    Args:
        probability, truth: of events that the network was not trained with.
        level: such as 0.95.
        per_class: whether this holds for the events of each class; otherwise for all events together.
    """
    of_truth, num_classes = probability[np.arange(len(truth)), truth], probability.shape[1]
    if not per_class:
        return np.full(num_classes, _limit(of_truth, level))
    return np.array([_limit(of_truth[truth == number], level) for number in range(num_classes)])


def _limit(of_truth: Float[np.ndarray, " event"], level: float) -> float:
    """The limit for events of these probabilities; 0, which every class has, where they are too few."""
    rank = int(np.floor((len(of_truth) + 1) * (1 - level) + 1e-9))  # 1e-9: 1 - 0.9 is below 0.1
    return float(np.sort(of_truth)[rank - 1]) if rank else 0.0


def in_set(probability: Probability, least: Float[np.ndarray, " class"]) -> Bool[np.ndarray, "event class"]:
    """Return whether each class belongs to the set of each event; none does where a probability is NaN."""
    return probability >= least


def set_names(contained: Bool[np.ndarray, "event class"], classes: Sequence[str]) -> np.ndarray:
    """Return the names of the classes in each set, separated by blanks; every result has the same dtype."""
    rows, which = np.unique(contained, axis=0, return_inverse=True)
    names = [" ".join(name for name, inside in zip(classes, row, strict=True) if inside) for row in rows]
    return np.array(names, f"U{len(' '.join(classes))}")[which.ravel()]


def set_figures(
    contained: Bool[np.ndarray, "event class"], truth: Truth, classes: Sequence[str], level: str
) -> dict[str, Figure | dict[str, Figure]]:
    """Return how often sets hold the true class and how many classes they have on average: of all events and by class.

    Args:
        contained: whether each class belongs to the set of each event.
        truth: of the events.
        classes: names of the classes.
        level: of the sets in per cent, with which the names of the figures end, as in coverage_90.
    """
    covered, size = contained[np.arange(len(truth)), truth], contained.sum(1).astype(float)
    of = {name: truth == number for number, name in enumerate(classes)}
    return {
        f"coverage_{level}": fraction(covered.sum(), len(truth)),
        f"set_size_{level}": mean(size, high=len(classes)),
        f"class_coverage_{level}": {name: fraction(covered[own].sum(), own.sum()) for name, own in of.items()},
        f"class_set_size_{level}": {name: mean(size[own], high=len(classes)) for name, own in of.items()},
    }
