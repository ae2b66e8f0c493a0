"""Freed memory is kept up to a bound and threads sleep, unless the user's environment says otherwise."""

import os
import platform
import subprocess
import sys

import pytest

from cdmtrain.machine import KEPT_BYTES, WAITING, let_threads_sleep

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries are left as they are")

STEPS = """
import resource
from cdmtrain.machine import keep_heap
keep_heap()
def step():
    return [b"x" * 50_000_000 for _ in range(2)]  # 100 MB, more than glibc keeps by itself
step(), step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""

HELD = f"""
import re
from cdmtrain.machine import keep_heap
keep_heap()
b"x" * ({KEPT_BYTES} + 1)
print(re.search(r"VmRSS:\\s*(\\d+)", open("/proc/self/status").read())[1])
"""


def output(script: str, **environment: str) -> int:
    """The number that a script prints in a process of its own."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, env=plain | environment, capture_output=True, text=True, check=True)
    return int(done.stdout)


def test_a_step_uses_the_memory_of_the_step_before() -> None:
    assert output(STEPS) < 1000  # pages that the kernel had to clear, of 24 000 in each step


@pytest.mark.parametrize(
    "environment",
    [{"MALLOC_TRIM_THRESHOLD_": "131072"}, {"GLIBC_TUNABLES": "glibc.malloc.mmap_threshold=131072"}],
)
def test_settings_of_the_user_win(environment: dict[str, str]) -> None:
    assert output(STEPS, **environment) > 100_000


def test_memory_beyond_the_bound_is_given_back() -> None:
    assert output(HELD) < 100_000  # kB


@pytest.mark.parametrize(("before", "after"), [({}, "passive"), ({"GOMP_SPINCOUNT": "9"}, None)])
def test_threads_sleep_unless_the_user_chose(
    before: dict[str, str], after: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in WAITING:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OMP_WAIT_POLICY", "")  # restored afterwards
    monkeypatch.delenv("OMP_WAIT_POLICY")
    for name, value in before.items():
        monkeypatch.setenv(name, value)
    let_threads_sleep()
    assert os.environ.get("OMP_WAIT_POLICY") == after
