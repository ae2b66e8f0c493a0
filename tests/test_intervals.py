"""Every interval is that of its definition and covers the truth as often as it should; scikit-learn agrees."""

import functools

import numpy as np
import pytest
import torch
from sklearn import metrics as sklearn

from cdmtrain.intervals import UNDEFINED, fraction, mean, roc_area
from cdmtrain.metrics import ClassificationMetrics
from cdmtrain.particles import NAMES

EVENTS = 100_000


def make_events(num_events: int, *, case: str, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Logits (N, 4) in float32 and class indices."""
    rng = np.random.default_rng(seed)
    truth = rng.choice([0, 2, 3] if case == "absent class" else 4, num_events)
    logits = rng.normal(0, 1.5, (num_events, 4)) + 1.2 * (np.arange(4) == truth[:, None])
    logits = {"ties": logits.round(), "probabilities of 0 and 1": 300 * logits}.get(case, logits)
    return logits.astype(np.float32), truth


def compute(logits: np.ndarray, truth: np.ndarray) -> dict:
    metrics = ClassificationMetrics()
    metrics.update(torch.from_numpy(logits), torch.from_numpy(truth))
    return metrics.compute()


@pytest.mark.parametrize("case", ["plain", "absent class", "ties", "probabilities of 0 and 1"])
def test_scikit_learn_finds_the_same_figures(case):
    logits, truth = make_events(EVENTS, case=case)
    found, present = compute(logits, truth), sorted(set(truth.tolist()))
    precise = torch.from_numpy(logits).double()
    probability, predicted = precise.softmax(1).numpy(), logits.argmax(1)
    report = sklearn.classification_report(
        truth, predicted, labels=range(4), target_names=NAMES, output_dict=True, zero_division=np.nan
    )
    assert found["accuracy"] == pytest.approx(sklearn.accuracy_score(truth, predicted), abs=1e-12)
    assert found["confusion_matrix"] == sklearn.confusion_matrix(truth, predicted, labels=range(4)).tolist()
    assert found["brier_score"] == pytest.approx(((probability - np.eye(4)[truth]) ** 2).sum(1).mean(), abs=1e-12)
    for k in present:
        name, rest = NAMES[k], np.delete(np.arange(4), k)
        assert found["efficiency"][name] == pytest.approx(report[name]["recall"], abs=1e-12)
        assert found["purity"][name] == pytest.approx(report[name]["precision"], abs=1e-12)
        score = (precise[:, k] - precise[:, rest].logsumexp(1)).float().numpy()
        assert found["roc_auc"][name] == pytest.approx(sklearn.roc_auc_score(truth == k, score), abs=1e-12)
    if case != "probabilities of 0 and 1":  # scikit-learn clips them
        expected = sklearn.log_loss(truth, probability, labels=range(4))
        assert found["cross_entropy"] == pytest.approx(expected, rel=1e-12)


def test_a_calibration_error_is_exact_for_a_million_events_and_for_a_confidence_of_one():
    """10^6 events of confidence 0.7, right in 70 % of the cases but for 100 of them; and certain events, all right."""
    logits = np.zeros((1_000_000, 4), np.float32)
    logits[:, 0] = np.log(0.7 / 0.1)
    confidence = float(torch.from_numpy(logits[:1]).double().softmax(1)[0, 0])
    truth = np.where(np.arange(1_000_000) < 700_100, 0, 1)
    found = compute(logits, truth)["calibration_error"]
    assert found == pytest.approx(abs(0.7001 - confidence), abs=1e-12)
    certain = np.zeros((100, 4), np.float32)
    certain[:50, 0], certain[50:, 0] = 1000, np.log(3 * 0.98 / 0.02)  # confidences of 1 and of 0.98: one bin
    truth = np.where(np.arange(100) % 50 < 49, 0, 1)
    assert compute(certain, truth)["calibration_error"] == pytest.approx(0.99 - 0.98, abs=1e-7)


def test_equal_logits_tie_in_a_roc_area_although_their_probabilities_round_differently():
    logits = np.random.default_rng(0).integers(-3, 4, (20_000, 4)).astype(np.float32)
    shifted = logits + np.random.default_rng(1).integers(-3, 4, (20_000, 1)).astype(np.float32)  # the same events
    truth = np.random.default_rng(2).integers(0, 4, 20_000)
    plain, other = compute(logits, truth), compute(shifted, truth)
    assert plain["roc_auc"] == other["roc_auc"]


def test_every_figure_has_an_interval_around_it():
    found = compute(*make_events(500, case="plain"))
    figures = {name: value for name, value in found.items() if name not in ("confusion_matrix", "uncertainty")}
    assert found["uncertainty"].keys() == figures.keys()
    for name, value in figures.items():
        interval = found["uncertainty"][name]
        values, ends = (value, interval) if isinstance(value, dict) else ({"": value}, {"": interval})
        for key, one in values.items():
            low, high = ends[key]
            assert low < one < high
            assert high - low < 0.2


@functools.cache
def sampled() -> tuple[dict, list[dict]]:
    """The figures of a whole population, and the intervals of 400 small samples of it."""
    samples = [compute(*make_events(400, case="plain", seed=seed))["uncertainty"] for seed in range(400)]
    return compute(*make_events(400_000, case="plain", seed=10_000)), samples


@pytest.mark.parametrize(
    "figure", ["accuracy", "macro_f1", "efficiency", "purity", "roc_auc", "cross_entropy", "brier_score"]
)
def test_an_interval_covers_the_truth_in_68_percent_of_the_samples(figure):
    population, samples = sampled()
    value, ends = population[figure], [one[figure] for one in samples]
    if isinstance(value, dict):
        value, ends = value["muon"], [one["muon"] for one in ends]
    assert np.mean([low <= value <= high for low, high in ends]) == pytest.approx(0.683, abs=0.08)


def test_the_error_of_a_roc_area_is_that_of_delong_written_out():
    rng = np.random.default_rng(3)
    is_signal = rng.random(200) < 0.3
    score = (rng.normal(size=200) + is_signal).round(1)
    above = score[is_signal][:, None] - score[~is_signal][None, :]
    wins = (above > 0) + 0.5 * (above == 0)
    error = np.sqrt(wins.mean(1).var(ddof=1) / is_signal.sum() + wins.mean(0).var(ddof=1) / (~is_signal).sum())
    area = wins.mean()
    assert roc_area(score, is_signal) == pytest.approx((area, area - error, min(area + error, 1)), abs=1e-12)


def test_without_events_nothing_is_defined_and_a_single_one_gives_no_false_certainty():
    assert fraction(0, 0) is UNDEFINED
    assert mean(np.empty(0)) is UNDEFINED
    assert roc_area(np.zeros(3), np.ones(3, bool)) is UNDEFINED
    assert fraction(1, 1) == pytest.approx((1, 0.5, 1))
