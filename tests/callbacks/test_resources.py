"""Peak memory is that of one run, whatever the process held before."""

import sys

import numpy as np
import pytest
import torch

from cdmtrain.callbacks.resources import peak_memory_bytes, reset_peak_memory

CPU = torch.device("cpu")


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the peak of a process cannot be reset")
def test_peak_memory_is_of_what_was_held_since_the_reset() -> None:
    array = np.ones(25_000_000)  # 200 MB
    held = peak_memory_bytes(CPU)
    del array
    reset_peak_memory(CPU)
    begun = peak_memory_bytes(CPU)
    assert begun < held - 150e6
    array = np.ones(12_500_000)
    assert 80e6 < peak_memory_bytes(CPU) - begun < 120e6
    del array


@pytest.mark.skipif(torch.cuda.is_initialized(), reason="CUDA is in use already")
def test_the_peak_of_a_gpu_that_nothing_has_used_yet_is_zero() -> None:
    gpu = torch.device("cuda", 0)
    reset_peak_memory(gpu)  # torch itself refuses, and every training begins so
    assert peak_memory_bytes(gpu) == 0
