"""Calibrated probabilities: the numbers that minimise the cross entropy, and when classes get their own."""

import numpy as np
import pytest
from scipy.optimize import minimize

from cdmtrain.calibration.scaling import Scaling, fit_classes, fit_scaling, fit_temperature

Events = tuple[np.ndarray, np.ndarray]


def log_softmax(z: np.ndarray) -> np.ndarray:
    return z - np.logaddexp.reduce(z, axis=1, keepdims=True)


def drawn(num_events: int, num_classes: int = 4, seed: int = 1) -> Events:
    """True log probabilities of events, and classes drawn by them."""
    rng = np.random.default_rng(seed)
    log_p = log_softmax(rng.normal(0, 2, (num_events, num_classes)))
    return log_p, (np.exp(log_p).cumsum(1) > rng.random((num_events, 1))).argmax(1)


def test_a_network_that_is_too_sure_gets_its_temperature() -> None:
    log_p, truth = drawn(10_000)
    found = fit_scaling(log_softmax(2.5 * log_p), truth)
    np.testing.assert_allclose(1 / found.scale, 2.5, rtol=0.06)
    np.testing.assert_array_equal(found.bias, 0)


def test_classes_get_their_own_numbers_where_it_pays_and_one_temperature_where_it_does_not() -> None:
    log_p, truth = drawn(10_000)
    tilted = fit_scaling(log_softmax(log_p + np.array([2, 0, -1, 0])), truth)
    np.testing.assert_allclose(tilted.bias - tilted.bias[1], [-2, 0, 1, 0], atol=0.4)
    assert len(set(fit_scaling(log_p, truth).scale)) == 1


@pytest.mark.parametrize("num_classes", [2, 4, 9])
def test_both_kinds_agree_with_the_minimum_that_scipy_finds(num_classes: int) -> None:
    log_p, truth = drawn(3000, num_classes)
    log_p = log_softmax(0.4 * log_p + np.linspace(-1, 1, num_classes))

    def loss(numbers: np.ndarray) -> float:
        z = numbers[:num_classes] * log_p + numbers[num_classes:]
        prior = ((numbers - np.repeat([1.0, 0.0], num_classes)) ** 2).sum() / 2
        return float(-log_softmax(z)[np.arange(len(truth)), truth].sum() + prior)

    found = np.concatenate(fit_classes(log_p, truth))
    best = minimize(loss, np.repeat([1.0, 0.0], num_classes), method="BFGS")
    assert loss(found) <= best.fun + 1e-6
    (one,) = set(fit_temperature(log_p, truth).scale)
    around = [
        loss(np.repeat([scale, 0.0], num_classes)) - (num_classes - 1) * (scale - 1) ** 2 / 2
        for scale in (one - 1e-3, one, one + 1e-3)
    ]
    assert min(around) == around[1]


def test_events_without_a_mistake_and_probabilities_of_zero_leave_the_numbers_finite() -> None:
    log_p = np.where(np.eye(3)[[0, 1, 2, 0, 1, 2, 0]] > 0, 0.0, -np.inf)
    for fit in (fit_temperature, fit_classes, fit_scaling):
        found = fit(log_p, np.array([0, 1, 2, 0, 1, 2, 0]))
        assert np.isfinite(found).all()
        assert np.isfinite(found.apply(log_p)).all()


def test_an_absent_class_and_a_few_events_are_no_obstacle() -> None:
    log_p, truth = drawn(4)
    assert np.isfinite(fit_scaling(log_p, np.minimum(truth, 1))).all()


def test_calibrated_probabilities_add_up_to_one() -> None:
    log_p, _ = drawn(100)
    scaled = Scaling(np.array([0.5, 1, 2, 1]), np.array([0, -1, 1.0, 0])).apply(log_p)
    np.testing.assert_allclose(np.exp(scaled).sum(1), 1)
