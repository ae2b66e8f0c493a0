"""Prediction sets: MAPIE's sets, and the coverage that was asked for."""

import warnings

import numpy as np
import pytest

from cdmtrain.calibration.answers import entropy
from cdmtrain.calibration.conformal import LEVELS, in_set, least_probabilities, set_figures, set_names

Events = tuple[np.ndarray, np.ndarray]


def drawn(num_events: int, num_classes: int = 4, *, seed: int = 1, sharp: float = 2.0) -> Events:
    """Probabilities of a network that is somewhat wrong, and classes. The last class never occurs."""
    rng = np.random.default_rng(seed)
    z = rng.normal(0, sharp, (num_events, num_classes))
    p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    truth = ((p[:, :-1] / p[:, :-1].sum(1, keepdims=True)).cumsum(1) > rng.random((num_events, 1))).argmax(1)
    return p, truth


class Given:
    """A classifier of scikit-learn's kind that returns the probabilities that it is given."""

    def __init__(self, num_classes: int) -> None:
        self.classes_, self.is_fitted_ = np.arange(num_classes), True

    def fit(self, X: np.ndarray, y: np.ndarray) -> "Given":
        return self

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        return X

    def predict(self, X: np.ndarray) -> np.ndarray:
        return X.argmax(1)


@pytest.mark.parametrize("kind", ["smooth", "ties", "certain"])
def test_sets_are_those_of_mapie_with_an_absent_class_ties_and_probabilities_of_zero_and_one(kind: str) -> None:
    with warnings.catch_warnings(action="ignore"):
        from mapie.classification import SplitConformalClassifier

    p, truth = drawn(100_000, 5)
    if kind == "ties":
        p = np.round(p, 2)
        p[:, 0] += 1 - p.sum(1)
    if kind == "certain":
        p = np.where(p.max(1, keepdims=True) > 0.7, p == p.max(1, keepdims=True), p)
    half = len(p) // 2
    oracle = SplitConformalClassifier(Given(5), confidence_level=[x / 100 for x in LEVELS], prefit=True)
    with warnings.catch_warnings(action="ignore"):
        expected = oracle.conformalize(p[:half], truth[:half]).predict_set(p[half:])[1]
    for number, level in enumerate(LEVELS):
        least = least_probabilities(p[:half], truth[:half], level / 100, per_class=False)
        # MAPIE compares 1 - p with a limit up to 1e-8
        far = np.abs(p[half:] - least).min(1) > 1e-7
        np.testing.assert_array_equal(in_set(p[half:], least)[far], expected[far, :, number])
        assert far.mean() > 0.9 or kind != "smooth"


@pytest.mark.parametrize("per_class", [False, True])
@pytest.mark.parametrize("level", LEVELS)
def test_sets_hold_the_true_class_as_often_as_asked(level: int, per_class: bool) -> None:
    found = []
    for seed in range(20):
        p, truth = drawn(2000, seed=seed)
        least = least_probabilities(p[:1000], truth[:1000], level / 100, per_class=per_class)
        covered = in_set(p[1000:], least)[np.arange(1000), truth[1000:]]
        found.append([covered[truth[1000:] == k].mean() for k in range(3)] if per_class else [covered.mean()])
    error = np.std(found, axis=0) / np.sqrt(len(found))
    assert (np.mean(found, axis=0) > level / 100 - 3 * error).all()
    most = 1 / (np.bincount(truth[:1000]).min() + 1 if per_class else 1001)  # the excess of a finite sample
    assert (np.mean(found, axis=0) < level / 100 + most + 3 * error).all()


def test_too_few_events_give_sets_of_every_class() -> None:
    p, truth = drawn(98)
    assert in_set(p, least_probabilities(p, truth, 0.99, per_class=False)).all()
    p, truth = drawn(99)
    assert not in_set(p, least_probabilities(p, truth, 0.99, per_class=False)).all()
    absent = least_probabilities(*drawn(5000), 0.9, per_class=True)
    assert absent[-1] == 0
    assert (absent[:-1] > 0).all()


def test_a_probability_that_is_no_number_gives_an_empty_set() -> None:
    contained = in_set(np.array([[np.nan, np.nan], [0.9, 0.1]]), np.array([0.2, 0.2]))
    assert list(set_names(contained, ["pi+", "K+"])) == ["", "pi+"]


def test_figures_of_sets_are_shares_and_mean_numbers_of_classes() -> None:
    contained = np.array([[True, True], [True, False], [False, False], [False, True]])
    figures = set_figures(contained, np.array([0, 1, 1, 1]), ["a", "b"], "90")
    assert figures["coverage_90"].value == 0.5
    assert figures["set_size_90"].value == 1
    assert {name: one.value for name, one in figures["class_coverage_90"].items()} == {"a": 1, "b": 1 / 3}
    assert {name: one.value for name, one in figures["class_set_size_90"].items()} == {"a": 2, "b": 2 / 3}
    assert list(set_names(contained, ["a", "b"])) == ["a b", "a", "", "b"]


def test_the_entropy_is_that_of_scipy_and_zero_for_a_certain_answer() -> None:
    from scipy.stats import entropy as expected

    p, _ = drawn(1000)
    np.testing.assert_allclose(entropy(p), expected(p, axis=1))
    assert entropy(np.eye(3)).tobytes() == np.zeros(3).tobytes()  # not -0, which a table would show
