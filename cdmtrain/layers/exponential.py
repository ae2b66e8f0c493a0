"""The exponential function of float32 in loops compiled by numba."""

from functools import partial
from typing import no_type_check

import numpy as np

from cdmtrain.compiled import jit

vectorised = partial(jit, error_model="numpy", fastmath={"contract"})
ZERO, ONE = np.float32(0), np.float32(1)
LOG2_E = np.float32(np.log2(np.e))
INTEGER = np.float32(3 * 2**22)  # a number to which this is added has its nearest integer in its last bits


@vectorised
@no_type_check
def power_of_two(x):
    """2^x to 2e-7 of itself for x <= 0, and 2^-64 for less than -64, in steps that LLVM computes for whole vectors.

    2^n times a polynomial (Cephes, exp2f.c), with n added to the exponent. NaN stays.
    """
    x = np.float32(-64) if x < np.float32(-64) else x
    shifted = x + INTEGER
    r = x - (shifted - INTEGER)
    p = np.float32(1.535336188319500e-4)
    p = p * r + np.float32(1.339887440266574e-3)
    p = p * r + np.float32(9.618437357674640e-3)
    p = p * r + np.float32(5.550332471162809e-2)
    p = p * r + np.float32(2.402264791363012e-1)
    p = p * r + np.float32(6.931472028550421e-1)
    p = p * r + ONE
    exponent = np.int32(np.float32(shifted).view(np.int32) << np.int32(23))
    return np.int32(np.float32(p).view(np.int32) + exponent).view(np.float32)
