"""Freed memory is kept up to a bound and threads sleep, unless the user's environment says otherwise."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from cdmtrain import machine
from cdmtrain.machine import KEPT_BYTES, OWN_WAITING, SHORT_WAIT, let_threads_sleep, memory_bytes

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


ALONE = """
import sys
from cdmtrain.machine import prepare_machine
prepare_machine()
import cdmtrain.tasks.train
for name in ("scipy.signal", "matplotlib"):
    assert not any(one == name or one.startswith(name + ".") for one in sys.modules), name
import scipy.signal
assert len(scipy.signal.windows.hamming(3)) == 3
assert sys.modules["scipy.signal"] is scipy.signal
print(sum(type(one).__module__.startswith("cdmtrain") for one in sys.meta_path))
"""

PLOTS = """
import sys
FIRST
from cdmtrain.machine import prepare_machine
prepare_machine()
import torch
from torchmetrics import ConfusionMatrix
metric = ConfusionMatrix(task="multiclass", num_classes=3)
metric.update(torch.tensor([0, 1, 2]), torch.tensor([0, 1, 1]))
figure, axes = metric.plot()
import matplotlib.axes, matplotlib.pyplot
assert isinstance(figure, matplotlib.pyplot.Figure) and isinstance(axes, matplotlib.axes.Axes)
print(len(axes.texts))
"""


def test_a_training_begins_without_scipy_signal_and_matplotlib_which_are_whole_for_others() -> None:
    pytest.importorskip("scipy")
    assert output(ALONE) == 0


@pytest.mark.parametrize("first", ["", "import matplotlib"])
def test_torchmetrics_draws_its_plots(first: str) -> None:
    assert output(PLOTS.replace("FIRST", first), MPLBACKEND="Agg") == 9


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


@pytest.mark.parametrize("own", [{}, {"GOMP_SPINCOUNT": "9"}, {"OMP_WAIT_POLICY": "active"}, {"KMP_BLOCKTIME": "200"}])
def test_waiting_threads_sleep_soon_unless_the_user_chose(own, monkeypatch):
    for name in OWN_WAITING:
        monkeypatch.setenv(name, "")  # restored afterwards
        monkeypatch.delenv(name)
    for name, value in own.items():
        monkeypatch.setenv(name, value)
    let_threads_sleep()
    assert {name: os.environ[name] for name in OWN_WAITING if name in os.environ} == (own or SHORT_WAIT)


@pytest.mark.parametrize(
    ("own", "limits", "expected"),
    [
        ("0::/slurm/job_1/step_0", {"slurm/job_1/memory.max": "1000", "slurm/job_1/step_0/memory.max": "max"}, 1000),
        ("0::/a", {"memory.max": "3000", "a/memory.max": "4000"}, 3000),
        ("4:cpu,memory:/docker/abc\n0::/", {"memory/memory.limit_in_bytes": "2000"}, 2000),
        ("4:cpu:/a\n3:memory:/../b", {"memory/b/memory.limit_in_bytes": str(2**63 - 4096)}, None),
        ("no group", {}, None),
        ("", {}, None),
    ],
)
def test_the_memory_of_a_job_is_the_smallest_limit_around_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own: str, limits: dict[str, str], expected: int | None
) -> None:
    (tmp_path / "own").write_text(own + "\n")
    for name, limit in limits.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(limit + "\n")
    monkeypatch.setattr(machine, "CGROUPS", tmp_path)
    monkeypatch.setattr(machine, "OWN_CGROUPS", tmp_path / "own")
    assert memory_bytes() == (expected or os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
