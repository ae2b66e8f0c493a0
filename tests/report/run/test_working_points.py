"""Working points: rejection, efficiency and purity of cuts, for any list of classes."""

import numpy as np
import pytest
from sklearn.metrics import precision_score, recall_score, roc_curve

from cdmtrain.report.run.working_points import (
    EFFICIENCIES,
    REST,
    draw_working_points,
    pairings,
    rejection_curve,
    rejection_tables,
    working_point,
)
from cdmtrain.runs.predictions import Predictions


def drawn(num_classes: int, num_events: int = 3000, *, absent: int | None = None) -> Predictions:
    rng = np.random.default_rng(1)
    truth = rng.integers(0, num_classes, num_events)
    truth[truth == absent] = 0
    z = rng.normal(0, 1, (num_events, num_classes)) + 2 * np.eye(num_classes)[truth]
    probability = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    nothing = np.zeros(num_events)
    return Predictions(truth, probability.round(3), nothing.astype(int), nothing)


NAMES = ["electron", "pi+", "photon", "K0", "proton", "muon", "deuteron", "alpha", "pi-"]


@pytest.mark.parametrize("num_classes", [2, 4, 9])
def test_a_class_is_told_from_all_others_and_from_each_other(num_classes: int) -> None:
    events, names = drawn(num_classes), NAMES[:num_classes]
    found = [(one.signal, one.background) for one in pairings(events, names)]
    others = [(one, other) for one in names for other in names if one != other] if num_classes > 2 else []
    assert sorted(found) == sorted([(one, REST) for one in names] + others)
    figures = draw_working_points(events, names)
    assert [one.name for one in figures] == ["rejection", "cuts", "scores"]
    assert all(len(one.figure.axes) >= num_classes for one in figures)


def test_a_working_point_keeps_at_least_the_efficiency_and_has_scikit_learns_background() -> None:
    for pairing in pairings(drawn(3), NAMES[:3]):
        background, signal, cuts = roc_curve(pairing.is_signal, pairing.score, drop_intermediate=False)
        for efficiency in EFFICIENCIES:
            point = working_point(pairing, efficiency)
            first = np.flatnonzero(signal >= efficiency)[0]
            assert point.efficiency == pytest.approx(signal[first])
            assert (point.cut, point.kept[0]) == pytest.approx((cuts[first], background[first]))
            assert point.kept[1] <= point.kept[0] <= point.kept[2]
        shares, rejection = rejection_curve(pairing)
        assert np.isin(shares, signal).all()
        assert np.isfinite(rejection).all()


def test_efficiency_and_purity_against_the_cut_are_scikit_learns() -> None:
    events, names = drawn(3), NAMES[:3]
    (rows,) = (one.rows for one in draw_working_points(events, names) if one.name == "cuts")
    for name, cut, efficiency, _, _, purity, *_ in rows[1:]:
        truth, passed = events.class_index == names.index(name), events.probability[:, names.index(name)] >= cut
        assert efficiency == pytest.approx(recall_score(truth, passed))
        if passed.any():
            assert purity == pytest.approx(precision_score(truth, passed))


def test_a_perfect_network_rejects_more_than_it_has_background() -> None:
    events = Predictions(np.array([0, 1, 1]), np.eye(2)[[0, 1, 1]], np.zeros(3, int), np.zeros(3))
    table = rejection_tables(events, ["a", "b"])[0]
    assert table.rows == [[REST, *["> 3"] * len(EFFICIENCIES)]]


def test_an_absent_class_has_no_working_point_and_one_class_alone_no_figure() -> None:
    events = drawn(3, absent=1)
    assert {one.signal for one in pairings(events, NAMES[:3])} == {"electron", "photon"}
    assert len(draw_working_points(events, NAMES[:3])) == 3
    assert draw_working_points(Predictions(np.zeros(3, int), np.eye(3), np.zeros(3, int), np.zeros(3)), NAMES[:3]) == []
    assert draw_working_points(None, NAMES) == []
