"""A process is known by its boot, namespace, number and start, and looked up on its own machine only."""

import os
import subprocess
import sys

import pytest

from cdmtrain.liveness import identity, is_alive

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="/proc tells it")


def test_this_process_lives() -> None:
    assert is_alive(identity())


def test_a_process_that_ended_is_dead_even_where_nobody_waited_for_it() -> None:
    process = subprocess.Popen(["sleep", "0.01"])
    name = identity(process.pid)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert is_alive(name) is False
    process.wait()
    assert is_alive(name) is False


def test_another_process_with_the_same_number_is_not_taken_for_it() -> None:
    machine_and_number, started = identity().rsplit(" ", 1)
    assert is_alive(f"{machine_and_number} {int(started) - 1}") is False


@pytest.mark.parametrize("name", [None, "", "1", "a b c", "b00t pid:[1] 17 4", "of another", "\x00", "] -1 1"])
def test_nothing_is_known_of_a_process_on_another_machine(name: str | None) -> None:
    assert is_alive(identity().replace(":[", ":[9") if name == "of another" else name) is None


@pytest.mark.parametrize("number", ["x", "-1", "9" * 9999, ""])
def test_a_number_that_no_process_has_is_no_error(number: str) -> None:
    machine = identity().rsplit(" ", 2)[0]
    assert not is_alive(f"{machine} {number} 1")
