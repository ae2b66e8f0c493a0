"""Another mix of particles: the metrics of a sample that has it."""

from typing import Any

import numpy as np
import pytest
import torch

from cdmtrain.calibration.cuts import cut_figures, passes
from cdmtrain.calibration.prior import check_prior, log_weights
from cdmtrain.errors import InputError
from cdmtrain.metrics import ClassificationMetrics
from cdmtrain.particles import NAMES

REPEATED = np.array([1, 4, 2, 3])


def drawn(num_events: int = 2000) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    truth = np.arange(num_events) % 4
    return rng.normal(0, 1, (num_events, 4)) + 1.5 * np.eye(4)[truth], truth


def metrics(logits: np.ndarray, truth: np.ndarray, prior: np.ndarray | None = None) -> dict[str, Any]:
    found = ClassificationMetrics(prior=prior)
    found.update(torch.from_numpy(logits), torch.from_numpy(truth))
    return found.compute()


def test_metrics_of_a_mix_are_those_of_a_sample_that_has_it() -> None:
    logits, truth = drawn()
    found, again = metrics(logits, truth, REPEATED / 10), np.repeat(np.arange(len(truth)), REPEATED[truth])
    expected = metrics(logits[again], truth[again])
    for name, value in expected.items():
        if name not in ("uncertainty", "confusion_matrix", "calibration_error_equal_bins"):  # the bins are the sample's
            assert found[name] == pytest.approx(value, abs=1e-12), name
    assert found["confusion_matrix"] == metrics(logits, truth)["confusion_matrix"]
    for name in ("accuracy", "cross_entropy"):
        (low, high), value = found["uncertainty"][name], found[name]
        assert low < value < high
        narrow = expected["uncertainty"][name]
        assert high - low > narrow[1] - narrow[0]  # repeated events bring nothing new


def test_equal_shares_of_a_balanced_sample_change_nothing() -> None:
    logits, truth = drawn()
    found, expected = metrics(logits, truth, np.full(4, 0.25)), metrics(logits, truth)
    for name in ("accuracy", "brier_score", "roc_auc", "purity", "calibration_error_equal_bins"):
        assert found[name] == pytest.approx(expected[name], abs=1e-12)
    for name in ("cross_entropy", "electron_photon_auc"):
        assert found["uncertainty"][name] == pytest.approx(expected["uncertainty"][name], rel=1e-3)


def test_cuts_have_the_purity_and_rejection_of_the_mix() -> None:
    logits, truth = drawn()
    probability = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    passed = passes(probability, {"electron": 0.5, "proton": 0.3}, NAMES)
    again = np.repeat(np.arange(len(truth)), REPEATED[truth])
    expected = cut_figures({name: one[again] for name, one in passed.items()}, truth[again], NAMES)
    found = cut_figures(passed, truth, NAMES, REPEATED / 10)
    for name, figures in expected.items():
        assert {key: one.value for key, one in found[name].items()} == pytest.approx(
            {key: one.value for key, one in figures.items()}
        )


def test_probabilities_follow_bayes_theorem() -> None:
    trained_on, prior = np.array([0.4, 0.3, 0.3, 0.0]), np.array([0.1, 0.9, 0.0, 0.0])
    p = np.array([0.2, 0.3, 0.5])
    weighted = p * prior[:3] / trained_on[:3]
    z = np.log(p) + log_weights(prior, trained_on)[:3]
    np.testing.assert_allclose(np.exp(z) / np.exp(z).sum(), weighted / weighted.sum(), atol=1e-12)
    assert np.isfinite(log_weights(prior, trained_on)).all()


@pytest.mark.parametrize(
    ("prior", "sentence"),
    [
        ({"a": 1}, r"each class of the network and no other needs a number \(b\), as in prior=\{a:1,b:1\}"),
        ({"a": 1, "b": 1, "c": 1}, r"needs a number \(c\)"),
        ({"a": 1, "b": -1}, "numbers from 0 on, not all 0, are expected"),
        ({"a": 0, "b": 0}, "numbers from 0 on, not all 0, are expected"),
        ({"a": "x", "b": 1}, "numbers from 0 on"),
        (3, "a relative number for each class is expected"),
    ],
)
def test_a_mix_that_means_nothing_is_said_in_a_sentence(prior: object, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        check_prior(prior, ["a", "b"])
