"""What a process that computes asks of the machine: memory used again, threads that sleep, no import in vain."""

import ctypes
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

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
    import_torchmetrics_alone()


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


def import_torchmetrics_alone() -> None:
    """Let torchmetrics, which Lightning imports, leave out scipy.signal: a fifth of the start of a process, and 60 MB.

    It imports that to give it back a name, `hamming`, for a package of speech recognition that is not used here.
    """
    if "torchmetrics" not in sys.modules and not any(isinstance(one, WithoutSignal) for one in sys.meta_path):
        sys.meta_path.insert(0, WithoutSignal())


class WithoutSignal(MetaPathFinder):
    """Finds torchmetrics alone and once; while that is imported scipy.signal is an empty module with that name."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name != "torchmetrics":
            return None
        sys.meta_path.remove(self)
        spec = find_spec(name)
        if spec is None or spec.loader is None or "scipy.signal" in sys.modules:
            return spec
        execute = spec.loader.exec_module

        def execute_alone(module: ModuleType) -> None:
            sys.modules["scipy.signal"] = ModuleType("scipy.signal")
            sys.modules["scipy.signal"].hamming = None  # type: ignore[attr-defined]
            try:
                execute(module)
            finally:
                del sys.modules["scipy.signal"]

        spec.loader.exec_module = execute_alone  # type: ignore[method-assign]
        return spec
