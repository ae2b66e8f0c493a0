"""What a process that computes asks of the machine: memory that each step uses again, and threads that sleep."""

import ctypes
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

KEPT_BYTES = 2**30  # freed memory at the end of the heap beyond this is given back, as are single allocations above it
GROWTH_BYTES = 2**26  # by which the heap grows, so that small allocations seldom ask the kernel
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3  # malloc.h of glibc
OWN_SETTINGS = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_MMAP_MAX_", "MALLOC_TRIM_THRESHOLD_", "MALLOC_TOP_PAD_")
CGROUPS, OWN_CGROUPS = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")
OLD_LARGEST = 2**25  # of M_MMAP_THRESHOLD before glibc 2.35
WAITING = (
    "OMP_WAIT_POLICY",
    "GOMP_SPINCOUNT",
    "KMP_BLOCKTIME",
)  # how threads of OpenMP wait, in GNU's and LLVM's words


def prepare_machine() -> None:
    """Prepare this process and those that it starts for computing; threads follow only if torch is not loaded yet."""
    keep_heap()
    let_threads_sleep()


def memory_bytes() -> int:
    """The memory that this process may have: that of the machine, or less in a container or a job with a limit."""
    physical = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return min([physical, *_limits()])


def _limits() -> Iterator[int]:
    """The limits of the control groups, of version 1 or 2, that hold this process (cgroups(7)), its own and above."""
    with suppress(OSError, ValueError):
        for line in OWN_CGROUPS.read_text(encoding="utf-8").splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers and "memory" not in controllers.split(","):
                continue
            top, name = (CGROUPS / "memory", "memory.limit_in_bytes") if controllers else (CGROUPS, "memory.max")
            parts = [part for part in path.split("/") if part not in ("", "..")]  # ..: outside of the container
            for length in range(len(parts), -1, -1):
                with suppress(OSError, ValueError):  # the topmost group of version 2 has no limit, others say "max"
                    yield int(Path(top, *parts[:length], name).read_text(encoding="utf-8"))


def keep_heap() -> None:
    """Let glibc keep freed memory, of which it hands large blocks back to the kernel at once.

    The kernel clears every page that it hands out again, which can take longer than to compute what is stored there.
    The user's own settings in the environment (mallopt(3)) win: `MALLOC_TRIM_THRESHOLD_=131072` keeps nothing. Other
    C libraries are left as they are.
    """
    if any(name in os.environ for name in OWN_SETTINGS) or "glibc.malloc" in os.environ.get("GLIBC_TUNABLES", ""):
        return
    library = ctypes.CDLL(None)
    if not hasattr(library, "gnu_get_libc_version"):
        return
    if not library.mallopt(M_MMAP_THRESHOLD, KEPT_BYTES):
        library.mallopt(M_MMAP_THRESHOLD, OLD_LARGEST)
    library.mallopt(M_TRIM_THRESHOLD, KEPT_BYTES)
    library.mallopt(M_TOP_PAD, GROWTH_BYTES)


def let_threads_sleep() -> None:
    """Let threads that wait for each other sleep, which leaves the core to whoever they wait for.

    A thread that spins until its time slice is over stops a whole step where another process wants its core. A choice
    of the user in the environment wins.
    """
    if not any(name in os.environ for name in WAITING):
        os.environ["OMP_WAIT_POLICY"] = "passive"
