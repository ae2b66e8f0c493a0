"""Parts of a computation at the same time, on as many threads as torch uses."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise
from os import getpid
from typing import TypeVar

import torch

Result = TypeVar("Result")


def in_parts(count: int, compute: Callable[[int, int], Result]) -> list[Result]:
    """compute(first, last) for ranges that together are 0 to `count`, in their order; at least for (0, count).

    Threads share the work only while it runs without the GIL, as functions of `compiled.jit` do.
    """
    threads = max(1, min(torch.get_num_threads(), count))
    bounds = [count * part // threads for part in range(threads + 1)]
    own, *others = pairwise(bounds)
    if not others:
        return [compute(*own)]
    pool = _pool(getpid(), threads)
    started = [pool.submit(compute, *part) for part in others]
    return [compute(*own), *(part.result() for part in started)]


@cache
def _pool(process: int, threads: int) -> ThreadPoolExecutor:
    """The threads of this process beside its own; those of a process that forked do not exist in its child."""
    return ThreadPoolExecutor(threads - 1, thread_name_prefix="in_parts")
