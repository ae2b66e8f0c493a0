"""Another mix of particles: the probabilities of events from a mix that differs from that of the training."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float

from cdmtrain.calibration.scaling import LEAST_LOG
from cdmtrain.errors import InputError


def check_prior(prior: object, classes: Sequence[str]) -> Float[np.ndarray, " class"]:
    """Return the shares of the classes in the mix that `prior` names by relative numbers.

    Raises:
        InputError: where a class is missing or unknown, or a number is negative or all are zero.
    """
    example = "prior={" + ",".join(f"{name}:1" for name in classes) + "}"
    if not isinstance(prior, Mapping):
        raise InputError(f"prior={prior}: a relative number for each class is expected, such as {example}")
    if set(prior) != set(classes):
        wrong = ", ".join(sorted(map(str, set(prior) ^ set(classes))))
        raise InputError(f"prior: each class of the network and no other needs a number ({wrong}), as in {example}")
    numbers = [prior[name] for name in classes]
    if not all(type(one) in (int, float) and 0 <= one < np.inf for one in numbers) or not any(numbers):
        raise InputError(f"prior={dict(prior)}: numbers from 0 on, not all 0, are expected, such as {example}")
    shares = np.array(numbers, float)
    return shares / shares.sum()


def log_weights(
    prior: Float[np.ndarray, " class"], trained_on: Float[np.ndarray, " class"]
) -> Float[np.ndarray, " class"]:
    """Return log(prior / share in the training) of each class: p' = p * prior / share, normalised (Saerens 2002,
    Neural Comput. 14, 21, eq. 2.4). A class that was absent keeps its probability.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.log(prior) - np.log(np.where(trained_on > 0, trained_on, prior))
    return np.where(prior > 0, ratio, LEAST_LOG)
