"""How unlike the training sample events are: scikit-learn's distance, uniform p-values, odd features."""

import numpy as np
import pytest
from scipy.stats import kstest
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from cdmtrain.calibration.likeness import MOST_DIRECTIONS, Distance, are_many, fit_likeness, p_values, references

Events = tuple[np.ndarray, np.ndarray]


def drawn(num_events: int, num_features: int = 6, *, seed: int = 1) -> Events:
    """Features of three classes, correlated, on scales of tens and tenths."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 3, num_events)
    mixing = np.random.default_rng(0).normal(size=(num_features, num_features)) * np.geomspace(0.1, 10, num_features)
    return (rng.normal(size=(num_events, num_features)) + 3 * np.eye(3, num_features)[truth]) @ mixing.T, truth


def test_the_distance_is_mahalanobis_with_one_covariance_for_all_classes() -> None:
    features, truth = drawn(2000)
    oracle = LinearDiscriminantAnalysis(solver="lsqr", store_covariance=True).fit(features, truth)
    precision = np.linalg.inv(oracle.covariance_)
    apart = features[:, None] - oracle.means_
    expected = np.einsum("ecn,nm,ecm->ec", apart, precision, apart).min(1)
    np.testing.assert_allclose(Distance(fit_likeness(features, truth))(features), expected, rtol=2e-3)


def test_p_values_of_like_events_are_uniform_and_those_of_other_events_small() -> None:
    far = Distance(fit_likeness(*drawn(3000)))
    reference = references(far(drawn(3000, seed=2)[0]))
    found = p_values(far(drawn(3000, seed=3)[0]), reference)
    assert kstest(found, "uniform").pvalue > 0.01
    assert p_values(far(3 * drawn(100)[0] + 1000), reference).max() < 0.01
    assert p_values(np.array([0.0, np.inf]), reference).tolist() == [1.0, 1 / 3001]


@pytest.mark.parametrize("num_features", [1, 40, 500])
def test_any_number_of_features_some_constant_some_more_than_events_gives_finite_distances(num_features: int) -> None:
    rng = np.random.default_rng(1)
    features = np.concatenate([rng.normal(size=(200, num_features)), np.full((200, 3), 7.0)], axis=1)
    likeness = fit_likeness(features, rng.integers(0, 2, 200))
    assert len(likeness.directions[0]) == min(num_features, MOST_DIRECTIONS)
    assert np.isfinite(Distance(likeness)(features)).all()


def test_many_unlike_events_are_more_than_chance_gives() -> None:
    assert not are_many(0, 0)
    assert not are_many(1, 10)
    assert not are_many(49, 1000)
    assert are_many(60, 1000)
    assert are_many(3, 3)
