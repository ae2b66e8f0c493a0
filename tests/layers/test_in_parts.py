"""The parts of a computation are whole, in order, and as many as torch has threads."""

import os
import threading

import pytest
import torch

from cdmtrain.layers.in_parts import in_parts


@pytest.fixture(autouse=True)
def threads(request):
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.mark.parametrize(("number", "count"), [(1, 5), (2, 5), (3, 5), (3, 2), (3, 1), (3, 0)])
def test_ranges_follow_one_another(number, count, threads):
    threads(number)
    parts = in_parts(count, lambda first, last: (first, last))
    assert len(parts) == max(1, min(number, count))
    assert [i for first, last in parts for i in range(first, last)] == list(range(count))


def test_parts_run_at_the_same_time(threads):
    threads(2)
    both = threading.Barrier(2, timeout=60)
    assert len(in_parts(2, lambda first, last: both.wait())) == 2


def test_an_error_of_any_part_is_raised(threads):
    threads(2)
    with pytest.raises(ZeroDivisionError):
        in_parts(2, lambda first, last: 1 // (1 - first))


def test_a_process_that_forked_has_threads_of_its_own(threads):
    threads(2)
    in_parts(2, lambda first, last: first)
    child = os.fork()
    if child == 0:
        os._exit(in_parts(2, lambda first, last: last)[1])
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 2
