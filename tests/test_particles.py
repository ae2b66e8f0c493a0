"""Names, codes and classes of the particles."""

import numpy as np
import pytest

from cdmtrain.particles import NAMES, NUM_CLASSES, PARTICLES, PDG_CODES, UNKNOWN_CLASS, class_indices


def test_classes_are_in_the_order_of_their_codes():
    assert list(PDG_CODES) == sorted(PDG_CODES)
    assert [particle.class_index for particle in PARTICLES] == list(range(NUM_CLASSES))
    assert NAMES == ("electron", "muon", "photon", "proton")


@pytest.mark.parametrize("dtype", [np.int16, np.int32, np.int64, np.uint16, ">i4"])
def test_a_code_has_the_same_class_whatever_else_is_there(dtype):
    codes = np.array([PDG_CODES[3], PDG_CODES[0], PDG_CODES[3], PDG_CODES[2], PDG_CODES[1]], dtype)
    assert class_indices(codes).tolist() == [3, 0, 3, 2, 1]
    assert class_indices(codes[:1]).tolist() == [3]


def test_any_other_code_has_no_class():
    assert class_indices(np.array([-11, 0, 211, 12, 2112, 10**9])).tolist() == 6 * [UNKNOWN_CLASS]


def test_no_code_has_no_class():
    assert class_indices(np.array([], np.int32)).tolist() == []
