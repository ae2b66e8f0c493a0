"""The list of classes: names, codes and symbols, and what is refused."""

import numpy as np
import pytest

from cdmtrain.errors import InputError
from cdmtrain.particles import (
    DEFAULT,
    NAMES,
    PDG_CODES,
    UNKNOWN_CLASS,
    Pair,
    class_indices,
    code_of,
    counts_in_words,
    name_of,
    names_of,
    read_classes,
    read_pairs,
)


def test_the_default_classes_are_in_the_order_of_their_codes():
    assert list(PDG_CODES) == sorted(PDG_CODES)
    assert NAMES == ("electron", "muon", "photon", "proton")
    assert read_classes(None) == DEFAULT


def test_a_typed_list_keeps_its_order_and_its_words():
    classes = read_classes(["pi+", "e-", "mu-", "gamma", "proton", 321, "-11"])
    assert names_of(classes) == ("pi+", "e-", "mu-", "gamma", "proton", "321", "-11")
    assert [one.pdg for one in classes] == [211, 11, 13, 22, 2212, 321, -11]
    assert classes[0].latex == r"$\pi^{+}$"
    assert [one.latex for one in classes[1:5]] == [one.latex for one in DEFAULT]


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        (["electron", "photn"], "'photn' is no particle.*did you mean photon"),
        (["electron", "pi++"], "did you mean pi"),
        (["electron", 999999], "'999999' is no particle"),
        (["electron", 0], "'0' is no particle"),
        (["electron", 1.5], "'1.5' is no particle"),
        (["electron", None], "'None' is no particle"),
        (["electron", "electron"], "has the particle 11 twice; name each once"),
        (["electron", "photon", "e-"], "has the particle 11 as electron and as e-"),
        (["electron"], "at least two particles are expected"),
        ([], "at least two particles are expected"),
        ("electron", "a list in brackets is expected"),
        (4, "a list in brackets is expected"),
    ],
)
def test_a_bad_list_is_one_sentence(typed, words):
    with pytest.raises(InputError, match=f"^data.particles.*{words}"):
        read_classes(typed)


@pytest.mark.parametrize("dtype", [np.int16, np.int32, np.int64, np.uint16, ">i4"])
def test_a_code_has_the_same_class_whatever_else_is_there(dtype):
    codes = np.array([PDG_CODES[3], PDG_CODES[0], PDG_CODES[3], PDG_CODES[2], PDG_CODES[1]], dtype)
    assert class_indices(codes, DEFAULT).tolist() == [3, 0, 3, 2, 1]
    assert class_indices(codes[:1], DEFAULT).tolist() == [3]
    assert class_indices(codes, DEFAULT[::-1]).tolist() == [0, 3, 0, 1, 2]


def test_any_other_code_has_no_class():
    assert class_indices(np.array([-11, 0, 211, 12, 2112, 10**9]), DEFAULT).tolist() == 6 * [UNKNOWN_CLASS]


def test_no_code_has_no_class():
    assert class_indices(np.array([], np.int32), DEFAULT).tolist() == []


def test_codes_and_names_are_each_other_s_inverse():
    codes = [11, -11, 22, 211, -321, 1000010020]
    assert [code_of(name_of(code)) for code in codes] == [
        11,
        -11,
        22,
        211,
        -321,
        1000010020,
    ]
    assert name_of(999999) == "999999"


def test_events_are_counted_in_words_the_most_frequent_first():
    assert counts_in_words(np.array([211, 13, 211])) == "2 pi+, 1 muon"
    assert counts_in_words(np.array([11, 13, 22, 2212, 211, 321, 111, -211])).endswith(", 2 more kinds")


def test_the_usual_pair_is_that_of_electron_and_photon_by_whatever_name():
    assert read_pairs(None, DEFAULT) == (Pair("electron", "photon"),)
    assert [pair.key for pair in read_pairs(None, read_classes(["gamma", "e-"]))] == ["e-_gamma_auc"]
    assert read_pairs(None, read_classes(["muon", "photon"])) == ()


def test_typed_pairs_are_named_as_the_classes_are():
    classes = read_classes(["e-", "photon", "pi+"])
    assert read_pairs([["electron", "photon"], ["pi+", 22]], classes) == (Pair("e-", "photon"), Pair("pi+", "photon"))
    assert read_pairs([], classes) == ()


@pytest.mark.parametrize(
    "typed", [[["electron"]], [["electron", "electron"]], ["electron"], [["electron", "pi+"]], "a", 3]
)
def test_a_bad_pair_is_one_sentence(typed):
    with pytest.raises(InputError, match=r"^metrics.pairs.* expected"):
        read_pairs(typed, DEFAULT)
