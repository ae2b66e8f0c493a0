"""Powers of two, computed without a call, are exact to float32."""

import numpy as np
import pytest

from cdmtrain.layers.exponential import power_of_two


def test_powers_are_exact_to_float32():
    x = np.linspace(-64, 0, 100_001, dtype=np.float32)
    found = np.array([power_of_two(value) for value in x])
    assert np.abs(found / np.exp2(x.astype(np.float64)) - 1).max() < 1e-7
    assert found[-1] == 1


@pytest.mark.parametrize("x", [-64.0, -1e30, -np.inf])
def test_what_is_far_below_one_is_the_same_small_number(x):
    assert power_of_two(np.float32(x)) == 2.0**-64


def test_a_number_that_is_none_stays_none():
    assert np.isnan(power_of_two(np.float32(np.nan)))
