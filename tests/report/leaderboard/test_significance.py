"""Which rows differ significantly from the first: McNemar's test, seeds as spread."""

import numpy as np
import pytest

from cdmtrain.report.leaderboard import significance as module
from cdmtrain.report.leaderboard.significance import Scores, difference, score
from cdmtrain.runs.predictions import Predictions

EVENTS = np.stack([np.arange(1000), np.arange(1000) % 4], axis=1)


def scores(mean: np.ndarray, variance: float = 0.0) -> Scores:
    return Scores(EVENTS, mean.astype(float), variance)


def num_sigmas(first: Scores, other: Scores) -> float:
    found = difference(first, other)
    assert found is not None
    return found.num_sigmas


def test_accuracies_are_compared_as_by_mcnemar() -> None:
    rng = np.random.default_rng(1)
    first, other = rng.random(1000) < 0.8, rng.random(1000) < 0.76
    gained, lost = int((other & ~first).sum()), int((first & ~other).sum())
    expected = abs(gained - lost) / np.sqrt(gained + lost - (gained - lost) ** 2 / 1000)
    assert num_sigmas(scores(first), scores(other)) == pytest.approx(expected, rel=1e-3)


def test_paired_events_tell_more_than_two_intervals() -> None:
    loss = np.random.default_rng(1).exponential(1, 1000)
    alone = 0.02 / np.sqrt(2 * loss.var() / 1000)
    found = num_sigmas(scores(loss), scores(loss + np.where(np.arange(1000) % 2, 0.05, -0.01)))
    assert alone < 1 < 10 < found


def test_the_spread_of_the_seeds_counts_too() -> None:
    loss = np.random.default_rng(1).exponential(1, 1000)
    assert num_sigmas(scores(loss, 0.01), scores(loss + 0.3, 0.03)) == pytest.approx(1.5)
    assert num_sigmas(scores(loss), scores(loss)) == 0


def test_rows_with_other_test_events_are_not_compared() -> None:
    assert difference(scores(np.ones(1000)), Scores(EVENTS[::-1], np.ones(1000), 0.0)) is None
    assert difference(scores(np.ones(1000)), None) is None


def test_the_score_is_the_cross_entropy_or_whether_the_answer_is_right() -> None:
    events = Predictions(np.array([0, 1, 1]), np.array([[0.8, 0.2], [0.6, 0.4], [1.0, 0.0]]), *np.zeros((2, 3)))
    np.testing.assert_allclose(score(events, "cross_entropy")[:2], -np.log([0.8, 0.4]))
    assert np.isfinite(score(events, "macro_f1")).all()
    assert score(events, "accuracy").tolist() == [1, 0, 0]


@pytest.mark.parametrize(("number", "is_small"), [(400, True), (1000, False)])
def test_a_difference_within_the_error_of_few_events_is_called_undecided(
    monkeypatch: pytest.MonkeyPatch, number: int, is_small: bool
) -> None:
    event = np.arange(number)
    first, worse = event % 5 > 0, event % 2 > 0
    alike = first ^ (event < 3)
    monkeypatch.setattr(module, "_scores", lambda row, rank: Scores(EVENTS[:number], row.astype(float), 0.0))
    said = module.significance([first, alike, worse], "accuracy")
    assert "undecided between row 1 and row 2; significantly different from row 1: row 3." in said
    assert ("The sample is small: a difference below 0.064 may not be seen." in said) == is_small


def test_many_rows_are_said_as_a_range_and_those_after_the_twentieth_are_not_compared(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    event = np.arange(1000)
    first, worse = event % 5 > 0, event % 2 > 0
    monkeypatch.setattr(module, "_scores", lambda row, rank: Scores(EVENTS, row.astype(float), 0.0))
    said = module.significance([first, *[worse] * 21], "accuracy")
    assert "standard deviations: significantly different from row 1: rows 2 to 20; not compared: rows 21, 22." in said
