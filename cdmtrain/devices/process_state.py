"""Keep this process as it was before a training, for what comes after it in a notebook or in a sweep."""

import logging
import os
import random
import signal
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

LOGGERS = ("lightning.pytorch", "lightning.fabric", "lightning.fabric.utilities.rank_zero")


@contextmanager
def restored_process() -> Iterator[None]:
    """Restore what a training changes: environment, Ctrl-C, warnings, levels of logging, random numbers, torch."""
    variables, on_ctrl_c = dict(os.environ), signal.getsignal(signal.SIGINT)
    levels = {name: logging.getLogger(name).level for name in LOGGERS}
    numbers, of_numpy = random.getstate(), np.random.get_state()  # noqa: NPY002  (seed_everything changes it)
    gpus = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
    with warnings.catch_warnings(), torch.random.fork_rng(devices=gpus), _restored_torch():
        try:
            yield
        finally:
            random.setstate(numbers)
            np.random.set_state(of_numpy)  # noqa: NPY002
            for name, level in levels.items():
                logging.getLogger(name).setLevel(level)
            if threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGINT, on_ctrl_c)  # Lightning ignores SIGINT after an interruption
            for name in os.environ.keys() - variables.keys():
                del os.environ[name]
            os.environ.update(variables)


@contextmanager
def _restored_torch() -> Iterator[None]:
    threads, precision = torch.get_num_threads(), torch.get_float32_matmul_precision()
    attention, benchmark = torch.backends.cuda.cudnn_sdp_enabled(), torch.backends.cudnn.benchmark
    deterministic = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    fill = torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.set_float32_matmul_precision(precision)
        torch.backends.cuda.enable_cudnn_sdp(attention)
        torch.backends.cudnn.benchmark = benchmark
        torch.use_deterministic_algorithms(deterministic, warn_only=warn_only)
        torch.utils.deterministic.fill_uninitialized_memory = fill  # type: ignore[attr-defined]
