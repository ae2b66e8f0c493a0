"""Parts of a computation at the same time, on as many threads as torch uses."""

from collections.abc import Callable, Sequence
from functools import cache
from itertools import pairwise
from os import getpid
from queue import SimpleQueue
from threading import Thread
from typing import Any, TypeVar

import torch
from torch import Tensor

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
    tasks, done = _tasks(getpid(), threads - 1), SimpleQueue[Any]()  # a third of the delay of concurrent.futures
    for part in others:
        tasks.put((compute, part, done))
    results = {own: compute(*own)}
    for _ in others:
        part, result, error = done.get()
        if error is not None:
            raise error
        results[part] = result
    return [results[part] for part in (own, *others)]


def add(parts: Sequence[Tensor]) -> Tensor:
    """The sum of what parts give, in their order."""
    first, *others = parts
    return sum(others, start=first)


@cache
def _tasks(process: int, threads: int) -> "SimpleQueue[Any]":
    """What threads of this process wait for; those of a process that forked do not exist in its child."""
    tasks = SimpleQueue[Any]()
    for _ in range(threads):
        Thread(target=_work, args=(tasks,), daemon=True, name="in_parts").start()
    return tasks


def _work(tasks: "SimpleQueue[Any]") -> None:
    while True:
        compute, part, done = tasks.get()
        try:
            done.put((part, compute(*part), None))
        except BaseException as error:
            done.put((part, None, error))
        del compute, done  # a thread that waits keeps no arrays
