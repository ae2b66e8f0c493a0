"""Every figure agrees with its definition, written out here in numpy, in double precision."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch

from cdmtrain.metrics import ClassificationMetrics, scalars
from cdmtrain.particles import NAMES

ELECTRON, MUON, PHOTON, PROTON = range(4)
CLOSE = {"rel": 1e-9, "abs": 1e-12}


def softmax(logits: np.ndarray) -> np.ndarray:
    exponential = np.exp(logits - logits.max(1, keepdims=True))
    return exponential / exponential.sum(1, keepdims=True)


def log_odds(logits: np.ndarray, k: int) -> np.ndarray:
    """log(p_k / (1 - p_k)), which does not round where p_k rounds to 1."""
    others = np.delete(logits, k, axis=1)
    highest = others.max(1)
    return logits[:, k] - highest - np.log(np.exp(others - highest[:, None]).sum(1))


def rank_auc(score: np.ndarray, positive: np.ndarray) -> float:
    """Mann and Whitney: the share of (positive, negative) pairs in the right order, ties counting one half."""
    difference = score[positive][:, None] - score[~positive][None, :]
    return float(((difference > 0) + 0.5 * (difference == 0)).mean()) if difference.size else math.nan


def expected_calibration_error(probability: np.ndarray, truth: np.ndarray) -> float:
    """Guo 2017, eq. 3: sum over 15 bins of confidence of (events in bin / events) |accuracy - mean confidence|."""
    confidence, right = probability.max(1), probability.argmax(1) == truth
    gaps = []
    for low, high in pairwise(np.linspace(0, 1, 16)):
        inside = (confidence >= low) & ((confidence < high) | (high == 1))
        if inside.any():
            gaps.append(inside.mean() * abs(right[inside].mean() - confidence[inside].mean()))
    return sum(gaps)


def class_calibration_error(probability: np.ndarray, happened: np.ndarray) -> float:
    """The same for a probability of one class and whether an event is of it."""
    return expected_calibration_error(np.stack([probability, 0 * probability], 1), np.where(happened, 0, 1))


def equal_bins_calibration_error(probability: np.ndarray, truth: np.ndarray) -> float:
    """The same with 15 bins of equally many events; events of equal confidence belong to the highest of their bins."""
    confidence, right = probability.max(1), probability.argmax(1) == truth
    order = np.argsort(confidence)
    number = np.concatenate([np.full(len(one), k) for k, one in enumerate(np.array_split(order, 15))])
    bins = {value: max(number[confidence[order] == value]) for value in confidence}
    place = np.array([bins[value] for value in confidence])
    return sum(abs(right[place == k].sum() - confidence[place == k].sum()) for k in range(15)) / len(truth)


def ratio(part: float, whole: float) -> float:
    return part / whole if whole else math.nan


def reference(logits: np.ndarray, truth: np.ndarray) -> dict:
    """Return every figure of logits (N, 4) and class indices (N,), NaN where it does not exist."""
    probability, predicted = softmax(logits), logits.argmax(1)
    counts = np.array([[np.sum((truth == row) & (predicted == column)) for column in range(4)] for row in range(4)])
    hit, true, chosen = np.diag(counts), counts.sum(1), counts.sum(0)
    f1 = [2 * h / (t + c) for h, t, c in zip(hit, true, chosen, strict=True) if t + c]  # of classes that occur at all
    either = np.isin(truth, (ELECTRON, PHOTON))
    pair = logits[either, ELECTRON] - logits[either, PHOTON]
    return {
        "accuracy": (predicted == truth).mean(),
        "macro_f1": np.mean(f1),
        "cross_entropy": -np.log(probability[np.arange(len(truth)), truth]).mean(),
        "brier_score": ((probability - np.eye(4)[truth]) ** 2).sum(1).mean(),
        "calibration_error": expected_calibration_error(probability, truth),
        "calibration_error_equal_bins": equal_bins_calibration_error(probability, truth),
        "class_calibration_error": {
            name: class_calibration_error(probability[:, k], truth == k) for k, name in enumerate(NAMES)
        },
        "efficiency": {name: ratio(hit[k], true[k]) for k, name in enumerate(NAMES)},
        "purity": {name: ratio(hit[k], chosen[k]) for k, name in enumerate(NAMES)},
        "roc_auc": {name: rank_auc(log_odds(logits, k), truth == k) for k, name in enumerate(NAMES)},
        "electron_photon_auc": rank_auc(pair, truth[either] == ELECTRON),
        "confusion_matrix": counts.tolist(),
    }


def events(num_events: int, *, classes: tuple[int, ...] = (0, 1, 2, 3), seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Return logits that know something of the truth, and class indices among `classes`."""
    rng = np.random.default_rng(seed)
    truth = rng.choice(classes, num_events)
    logits = rng.normal(0, 1.5, (num_events, 4)) + 1.2 * (np.arange(4) == truth[:, None])
    return logits.astype(np.float32).astype(np.float64), truth


def computed(logits: np.ndarray, truth: np.ndarray, *, num_batches: int = 1) -> dict:
    metrics = ClassificationMetrics()
    for part in np.array_split(np.arange(len(truth)), num_batches):
        metrics.update(torch.from_numpy(logits[part]).float(), torch.from_numpy(truth[part]))
    return metrics.compute()


def assert_same(found: dict, expected: dict) -> None:
    assert found.keys() == {*expected, "uncertainty"}
    assert found["confusion_matrix"] == expected["confusion_matrix"]
    assert scalars(found) == pytest.approx(scalars(expected), nan_ok=True, **CLOSE)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("num_batches", [1, 7])
def test_figures_are_their_definitions(seed, num_batches):
    logits, truth = events(300, seed=seed)
    assert_same(computed(logits, truth, num_batches=num_batches), reference(logits, truth))


@pytest.mark.parametrize("absent", range(4))
def test_an_absent_class_is_nan_where_it_has_no_figure_and_the_rest_is_right(absent):
    logits, truth = events(200, classes=tuple({0, 1, 2, 3} - {absent}))
    found = computed(logits, truth, num_batches=3)
    assert math.isnan(found["efficiency"][NAMES[absent]])
    assert math.isnan(found["roc_auc"][NAMES[absent]])
    assert math.isnan(found["electron_photon_auc"]) == (absent in (ELECTRON, PHOTON))
    assert_same(found, reference(logits, truth))


@pytest.mark.parametrize("only", range(4))
def test_one_class_alone_has_an_efficiency_and_no_roc_area(only):
    logits, truth = events(50, classes=(only,))
    found = computed(logits, truth)
    assert all(math.isnan(area) for area in found["roc_auc"].values())
    assert found["efficiency"][NAMES[only]] == pytest.approx(found["accuracy"], **CLOSE)
    assert_same(found, reference(logits, truth))


def test_a_class_never_predicted_has_no_purity():
    logits, truth = events(100)
    logits[:, MUON] = -20
    found = computed(logits, truth)
    assert math.isnan(found["purity"]["muon"])
    assert found["efficiency"]["muon"] == 0
    assert_same(found, reference(logits, truth))


def test_tied_scores_count_one_half_in_a_roc_area():
    logits, truth = events(200)
    logits = logits.round()
    found = computed(logits, truth)["electron_photon_auc"]
    assert found == pytest.approx(reference(logits, truth)["electron_photon_auc"], **CLOSE)


def test_rows_of_the_confusion_matrix_are_truth():
    logits = 9 * np.eye(4)[[PHOTON, PHOTON, PROTON]]
    matrix = computed(logits, np.array([ELECTRON, ELECTRON, PROTON]))["confusion_matrix"]
    assert matrix == [[0, 0, 2, 0], [0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 1]]


def test_figures_of_a_very_sure_network_are_their_definitions():
    logits, truth = events(100)  # times 60: probabilities of exactly 0 and 1, differences a sigmoid cannot tell apart
    logits = (60 * logits).astype(np.float32).astype(np.float64)
    assert_same(computed(logits, truth), reference(logits, truth))


def test_nothing_seen_is_nan_everywhere_and_no_error():
    figures = ClassificationMetrics().compute()
    flat = scalars(figures)
    assert {value for name, value in flat.items() if name.startswith("confusion_")} == {0}
    assert all(math.isnan(value) for name, value in flat.items() if not name.startswith("confusion_"))
    assert np.array(figures["confusion_matrix"]).tolist() == np.zeros((4, 4)).tolist()


def test_reset_forgets():
    metrics = ClassificationMetrics()
    for seed in (1, 2):
        logits, truth = events(60, seed=seed)
        metrics.reset()
        metrics.update(torch.from_numpy(logits).float(), torch.from_numpy(truth))
    assert_same(metrics.compute(), reference(logits, truth))


def test_scalars_name_each_class_and_each_cell_of_the_matrix():
    logits, truth = events(60)
    metrics = computed(logits, truth)
    flat = scalars(metrics)
    cells = {name: flat.pop(name) for name in list(flat) if name.startswith("confusion_")}
    assert list(cells.values()) == [number for row in metrics["confusion_matrix"] for number in row]
    assert cells["confusion_electron_photon"] == metrics["confusion_matrix"][0][NAMES.index("photon")]
    figures = ("efficiency", "purity", "roc_auc", "class_calibration_error")
    per_class = {f"{figure}_{name}" for figure in figures for name in NAMES}
    single = {"accuracy", "macro_f1", "cross_entropy", "brier_score", "electron_photon_auc"}
    single |= {"calibration_error", "calibration_error_equal_bins"}
    assert flat.keys() == per_class | single
    assert all(type(value) is float for value in flat.values())


def test_logits_that_are_not_numbers_are_counted_as_such_and_not_as_electrons():
    logits, truth = torch.eye(4)[[0, 1, 2, 3, 0, 0]] * 9, torch.tensor([0, 1, 2, 3, 0, 1])
    logits[4], logits[5, 2] = torch.nan, torch.inf
    metrics = ClassificationMetrics()
    metrics.update(logits, truth)
    found = metrics.compute()
    assert found["undefined_events"] == 2
    assert found["confusion_matrix"] == torch.eye(4, dtype=torch.int64).tolist()
    assert found["accuracy"] == 4 / 6
    assert found["efficiency"]["electron"] == 0.5
    assert found["purity"]["electron"] == 1
    assert all(math.isnan(found[name]) for name in ("calibration_error", "electron_photon_auc", "cross_entropy"))
    assert all(math.isnan(area) for area in found["roc_auc"].values())
