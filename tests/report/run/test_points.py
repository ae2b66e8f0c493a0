"""The points of the curves agree with their definitions, written out."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from cdmtrain.intervals import wilson_interval
from cdmtrain.report.run.correctness import equal_population_bins, reliability
from cdmtrain.report.run.curves import overfitting_since, roc_points
from cdmtrain.runs.read import RunFiles


def rng() -> np.random.Generator:
    return np.random.default_rng(3)


@pytest.mark.parametrize("ties", [False, True])
def test_area_under_the_roc_points_is_the_chance_that_signal_scores_above_background(ties: bool) -> None:
    is_signal = rng().random(300) < 0.4
    score = rng().normal(size=300) + is_signal
    score = score.round() if ties else score
    background, signal = roc_points(score, is_signal)
    above = score[is_signal][:, None] - score[~is_signal][None, :]
    chance = (above > 0).mean() + 0.5 * (above == 0).mean()
    assert np.trapezoid(signal, background) == pytest.approx(chance, abs=1e-12)  # rounding of sums only
    assert (background[0], signal[0], background[-1], signal[-1]) == (0, 0, 1, 1)


def test_roc_of_one_class_alone_is_empty() -> None:
    assert [len(points) for points in roc_points(np.ones(3), np.ones(3, dtype=bool))] == [0, 0]


def test_binomial_interval_holds_the_fraction_and_covers_it_two_times_in_three() -> None:
    total = np.full(20000, 40.0)
    passed = rng().binomial(40, 0.8, 20000).astype(float)
    low, high = wilson_interval(passed, total)
    assert np.all((low >= 0) & (low <= passed / total) & (passed / total <= high) & (high <= 1))
    assert np.mean((low <= 0.8) & (high >= 0.8)) == pytest.approx(0.683, abs=0.05)  # counts are discrete: 6 % each


def test_interval_of_all_or_none_is_not_empty() -> None:
    low, high = wilson_interval(np.array([0.0, 25.0]), np.array([25.0, 25.0]))
    assert np.all(high - low > 0.02)


@pytest.mark.parametrize("num_events", [1, 24, 25, 60, 5000])
def test_bins_of_equal_population_hold_every_event_once_and_rise(num_events: int) -> None:
    value = rng().gamma(3, 20, num_events).round()
    bins = equal_population_bins(value, most_bins=8, fewest_events=25)
    assert sorted(np.concatenate(bins).tolist()) == list(range(num_events))
    assert all(value[a].max() < value[b].min() for a, b in pairwise(bins))
    assert 1 <= len(bins) <= 8


def test_events_of_one_value_are_one_bin() -> None:
    assert len(equal_population_bins(np.full(100, 7.0), most_bins=8, fewest_events=25)) == 1
    assert equal_population_bins(np.empty(0), most_bins=8, fewest_events=25) == []


def test_reliability_bins_give_the_expected_calibration_error() -> None:
    confidence = rng().uniform(0.25, 1.0, 500)
    is_right = rng().random(500) < confidence**2
    mean, right, total = reliability(confidence, is_right, num_bins=15)
    error = 0.0
    for low in np.arange(15) / 15:
        inside = (confidence >= low) & (confidence < low + 1 / 15)
        if inside.any():
            error += abs(is_right[inside].mean() - confidence[inside].mean()) * inside.mean()
    assert np.sum(np.abs(right / total - mean) * total) / total.sum() == pytest.approx(error)


def test_a_certain_event_falls_into_the_last_bin() -> None:
    mean, right, total = reliability(np.array([1.0]), np.array([True]))
    assert (mean.tolist(), right.tolist(), total.tolist()) == ([1.0], [1.0], [1.0])


DNN = [0.775, 0.776, 0.917, 1.094, 1.345, 1.671, 1.813, 2.077, 2.189, 2.342]  # docs/results.md has all three
CNN = [0.612, 0.587, 0.558, 0.569, 0.540, 0.526, 0.523, 0.519, 0.528, 0.519]
GNN = [0.597, 0.594, 0.558, 0.592, 0.579, 0.607, 0.559, 0.546, 0.557, 0.563]


@pytest.mark.parametrize(
    ("val", "since"),
    [
        (DNN, 3),
        (CNN, None),
        (GNN, None),  # what follows its best epoch is within the scatter
        ([0.5, 0.6, 0.7, 0.8], 2),
        ([0.5, 0.6, 0.7, 0.45], None),  # it recovers
        ([0.5, 0.6], None),
        ([0.5, np.nan, 0.6, np.nan, 0.7], 3),  # validated in every second epoch
    ],
)
def test_a_network_overfits_since_the_losses_part(val: list[float], since: int | None) -> None:
    epoch = np.arange(1.0, len(val) + 1)
    history = {"epoch": epoch, "train_loss": 1 / epoch, "val_loss": np.array(val)}
    assert overfitting_since(RunFiles(Path(), history=history)) == since


def test_a_training_loss_that_rises_too_is_no_overfitting() -> None:
    epoch = np.arange(1.0, 6)
    assert overfitting_since(RunFiles(Path(), history={"epoch": epoch, "train_loss": epoch, "val_loss": epoch})) is None
