"""Parts never overlap, hold what their fractions say, and are the same for every training."""

import re

import pytest
import torch

from cdmtrain.data.split import FractionSplit, StratifiedSplit
from cdmtrain.errors import InputError

DEFAULT = {"train": [0.0, 0.84], "val": [0.84, 0.92], "test": [0.92, 1.0]}
EXERCISE = {"train": [0.0, 0.1], "val": [0.1, 0.15], "test": [0.15, 0.2]}
BACKWARDS = {"train": [0.5, 1.0], "val": [0.25, 0.5], "test": [0.0, 0.25]}
SPLITS = [DEFAULT, EXERCISE, BACKWARDS]


def classes(num_events, seed=1):
    """Class indices, very unequally often."""
    weights = torch.tensor([0.6, 0.3, 0.09, 0.01])
    return torch.multinomial(weights, num_events, replacement=True, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("fractions", SPLITS)
@pytest.mark.parametrize("num_events", [1, 2, 7, 100, 997])
@pytest.mark.parametrize("make", [FractionSplit, lambda **parts: StratifiedSplit(**parts, seed=3)])
def test_parts_never_overlap_and_no_event_comes_twice(make, num_events, fractions):
    chosen = torch.cat(make(**fractions)(classes(num_events)))
    assert len(chosen.unique()) == len(chosen)
    assert ((chosen >= 0) & (chosen < num_events)).all()


@pytest.mark.parametrize("num_events", [1, 2, 7, 100, 997])
@pytest.mark.parametrize("make", [FractionSplit, lambda **parts: StratifiedSplit(**parts, seed=3)])
def test_fractions_that_cover_everything_leave_no_event_out(make, num_events):
    assert torch.cat(make(**DEFAULT)(classes(num_events))).sort().values.tolist() == list(range(num_events))


@pytest.mark.parametrize("fractions", SPLITS)
def test_fractions_are_positions_in_the_data_set(fractions):
    parts = FractionSplit(**fractions)(classes(1000))
    for name, (begin, end) in fractions.items():
        assert getattr(parts, name).tolist() == list(range(round(1000 * begin), round(1000 * end)))


def test_a_fraction_of_an_event_is_rounded_to_the_nearest_event():
    parts = FractionSplit(**DEFAULT)(classes(8))  # 6.72 and 7.36 events
    assert [part.tolist() for part in parts] == [list(range(7)), [], [7]]


@pytest.mark.parametrize("fractions", SPLITS)
def test_stratified_parts_have_the_same_fraction_of_every_class_within_an_event(fractions):
    class_index = classes(1003)
    for part, (begin, end) in zip(StratifiedSplit(**fractions, seed=1)(class_index), fractions.values(), strict=True):
        for one in range(4):
            expected = (end - begin) * int((class_index == one).sum())
            assert abs(int((class_index[part] == one).sum()) - expected) <= 1


def test_a_first_piece_of_a_stratified_part_is_a_fair_sample_too():
    class_index = classes(10_000)
    train = StratifiedSplit(**DEFAULT, seed=1)(class_index).train[:1000]
    fractions = torch.bincount(class_index[train], minlength=4) / 1000
    torch.testing.assert_close(fractions, torch.tensor([0.6, 0.3, 0.09, 0.01]), atol=0.06, rtol=0)  # four deviations


def test_a_stratified_split_depends_on_its_own_seed_alone():
    class_index = classes(500)
    torch.manual_seed(1)
    first = StratifiedSplit(**DEFAULT, seed=1)(class_index)
    torch.manual_seed(2)
    again, other = StratifiedSplit(**DEFAULT, seed=1)(class_index), StratifiedSplit(**DEFAULT, seed=2)(class_index)
    for one, same, different in zip(first, again, other, strict=True):
        assert torch.equal(one, same)
        assert not torch.equal(one, different)


def test_unlabelled_events_are_shared_out_as_a_class():
    parts = StratifiedSplit(**DEFAULT, seed=1)(torch.full((100,), -1))
    assert [len(part) for part in parts] == [84, 8, 8]


def test_an_empty_part_may_lie_anywhere():
    parts = FractionSplit(train=[0, 1], val=[0.5, 0.5], test=[0, 0])(classes(10))
    assert [len(part) for part in parts] == [10, 0, 0]


@pytest.mark.parametrize("make", [FractionSplit, lambda **parts: StratifiedSplit(**parts, seed=3)])
@pytest.mark.parametrize(
    "part",
    [
        [0.5, 0.2],
        [-0.1, 0.2],
        [0.5, 1.1],
        [0.2],
        [0.2, 0.3, 0.4],
        [],
        0.5,
        None,
        "ab",
        ["0", "1"],
        [None, 1],
        [float("nan"), 1],
    ],
    ids=str,
)
def test_a_part_that_is_no_pair_of_fractions_is_one_sentence(part, make):
    expected = f"data.split.val={part}: two fractions [a, b] with 0 <= a <= b <= 1 are expected"
    with pytest.raises(InputError, match=f"^{re.escape(expected)}$"):
        make(**{**DEFAULT, "val": part})


@pytest.mark.parametrize(
    "changed",
    [{"val": [0.83, 0.92]}, {"test": [0.0, 0.01]}, {"train": [0, 1]}, {"test": [0.85, 0.9]}, {"test": [0.84, 0.92]}],
    ids=str,
)
def test_parts_that_overlap_are_one_sentence(changed):
    with pytest.raises(InputError, match=r"^data\.split: .* overlap; no event may be in two parts$"):
        FractionSplit(**{**DEFAULT, **changed})


@pytest.mark.parametrize("fractions", SPLITS)
@pytest.mark.parametrize("make", [FractionSplit, lambda **parts: StratifiedSplit(**parts, seed=3)])
def test_folds_validate_every_event_of_train_and_val_once_and_leave_the_test_alone(make, fractions):
    class_index = classes(997)
    plain = make(**fractions)(class_index)
    folds = [make(**fractions, folds=5, fold=fold)(class_index) for fold in range(5)]
    pool = torch.cat([plain.train, plain.val]).sort().values
    assert torch.equal(torch.cat([parts.val for parts in folds]).sort().values, pool)
    for parts in folds:
        assert torch.equal(torch.cat([parts.train, parts.val]).sort().values, pool)
        assert torch.equal(parts.test, plain.test)
        assert abs(len(parts.val) - len(pool) / 5) < 4  # an event of each class


def test_fold_k_of_n_validates_every_nth_event_from_event_k_on():
    parts = FractionSplit(train=[0, 0.6], val=[0.6, 0.8], test=[0.8, 1], folds=3, fold=1)(classes(10))
    assert [part.tolist() for part in parts] == [[0, 2, 3, 5, 6], [1, 4, 7], [8, 9]]


def test_folds_of_a_sorted_file_hold_every_class_and_stratified_ones_the_same_share():
    class_index = torch.arange(4).repeat_interleave(200)
    for fold in range(4):
        val = FractionSplit(**DEFAULT, folds=4, fold=fold)(class_index).val
        assert torch.bincount(class_index[val], minlength=4)[:3].tolist() == [50, 50, 50]
        drawn = StratifiedSplit(**DEFAULT, seed=1, folds=4, fold=fold)(class_index).val
        assert torch.bincount(class_index[drawn], minlength=4).tolist() == [46, 46, 46, 46]


@pytest.mark.parametrize(
    ("folds", "fold", "sentence"),
    [
        (5, 5, "data.split.fold=5: a whole number from 0 to 4 is expected"),
        (1, 0, "data.split.folds=1: at least 2 folds, or null for none, are expected"),
        (None, 2, "data.split.fold=2: set data.split.folds too"),
    ],
)
def test_a_fold_that_does_not_exist_is_refused(folds, fold, sentence):
    with pytest.raises(InputError, match=re.escape(sentence)):
        FractionSplit(**DEFAULT, folds=folds, fold=fold)
