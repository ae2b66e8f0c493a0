"""What can be said of each event beside its probabilities: how uncertain the answer is, and which classes it may be."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float

from cdmtrain.calibration.conformal import in_set, set_names


def entropy(probability: Float[np.ndarray, "event class"]) -> Float[np.ndarray, " event"]:
    """Return -sum_k p_k log p_k in nats: 0 where one class is certain, log K where K classes are equally likely."""
    logarithm = np.log(probability, out=np.zeros_like(probability), where=probability > 0)
    return abs((probability * logarithm).sum(1))  # no sum is positive, and a certain class has 0, not -0


def set_columns(
    probability: Float[np.ndarray, "event class"], sets: Mapping[str, Sequence[float]], classes: Sequence[str]
) -> dict[str, np.ndarray]:
    """Return set_90, set_95 and set_99: the names of the classes in the prediction set of each event.

    Args:
        probability: calibrated.
        sets: level in per cent -> least probability with which each class belongs to a set.
        classes: names of the classes.
    """
    return {f"set_{level}": set_names(in_set(probability, np.array(own)), classes) for level, own in sets.items()}
