"""Products of scattered rows are those of numpy, for every width and number of pairs, on every kind of processor."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from cdmtrain.layers.row_products import add_outer_products, add_products, padded


def check(inputs: int, outputs: int, counts: list[int], dtype: type) -> None:
    """Pairs of 40 sources with 30 targets, so many of each element."""
    generator = np.random.default_rng(inputs + 100 * outputs)
    x, y = (generator.standard_normal((rows, width)).astype(dtype) for rows, width in ((40, inputs), (30, outputs)))
    weight = generator.standard_normal((len(counts), inputs, outputs)).astype(dtype)
    begin = np.cumsum([0, *counts])
    source = generator.integers(40, size=begin[-1]).astype(np.int32)
    target = np.concatenate([generator.permutation(30)[:count] for count in counts]).astype(np.int32)
    expected_y, expected_total = y.astype(np.float64), np.ones(weight.shape)
    for k, matrix in enumerate(weight):
        of_element = slice(begin[k], begin[k + 1])
        np.add.at(expected_y, target[of_element], x[source[of_element]].astype(np.float64) @ matrix)
        expected_total[k] += x[source[of_element]].T.astype(np.float64) @ y[target[of_element]]
    total = np.ones_like(weight)
    add_outer_products(x, y, total, source, target, begin)
    add_products(x, padded(torch.from_numpy(weight)), y, source, target, begin)
    tolerance = 1e-4 if dtype is np.float32 else 1e-12
    np.testing.assert_allclose(total, expected_total, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(y, expected_y, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("outputs", [1, 3, 8, 15, 16, 17, 24, 31, 32, 33, 48, 70])
@pytest.mark.parametrize("inputs", [1, 7, 8, 19])
def test_products_are_those_of_numpy(inputs, outputs, dtype):
    check(inputs, outputs, [0, 1, 7, 8, 30], dtype)


def test_nothing_is_written_beyond_the_last_column():
    rows = np.zeros((4, 3), np.float32)
    weight, pairs = torch.ones(1, 2, 3), np.arange(2, dtype=np.int32)
    add_products(np.ones((2, 2), np.float32), padded(weight), rows[1:3], pairs, pairs, np.array([0, 2]))
    assert rows.tolist() == [[0] * 3, [2] * 3, [2] * 3, [0] * 3]


@pytest.mark.skipif(sys.platform != "linux" or os.uname().machine != "x86_64", reason="names of x86 processors")
@pytest.mark.parametrize(("processor", "features"), [("haswell", "+avx2,+fma,+avx"), ("nehalem", "")])
def test_processors_with_shorter_vectors_compute_the_same(processor, features, tmp_path):
    code = (
        "import numpy as np\n"
        "from cdmtrain import compiled\n"
        "compiled.apart = False\n"
        "from cdmtrain.layers.row_products import ROWS, VECTOR_BYTES\n"
        "from test_row_products import check\n"
        "for dtype in (np.float32, np.float64):\n"
        "    for outputs in (3, 8, 12, 24): check(7, outputs, [0, 1, 7, 8, 30], dtype)\n"
        "print(ROWS, VECTOR_BYTES)\n"
    )
    environment = {
        **os.environ,
        "NUMBA_CPU_NAME": processor,
        "NUMBA_CPU_FEATURES": features,
        "NUMBA_CACHE_DIR": str(tmp_path),
        "PYTHONPATH": str(Path(__file__).parent),
    }
    found = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert found.stdout.split() == ["4", "32" if processor == "haswell" else "16"], found.stderr
