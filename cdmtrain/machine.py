"""What a process that computes asks of the machine: memory used again, threads that sleep, no import in vain."""

import ctypes
import gc
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import cache
from importlib import import_module
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

KEPT_BYTES = 2**30  # freed memory at the end of the heap beyond this is given back, as are single allocations above it
GROWTH_BYTES = 2**26  # by which the heap grows, so that small allocations seldom ask the kernel
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3  # malloc.h of glibc
OWN_SETTINGS = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_MMAP_MAX_", "MALLOC_TRIM_THRESHOLD_", "MALLOC_TOP_PAD_")
CGROUPS, OWN_CGROUPS = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")
OLD_LARGEST = 2**25  # of M_MMAP_THRESHOLD before glibc 2.35
OWN_WAITING = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
SHORT_WAIT = {"GOMP_SPINCOUNT": "1000", "KMP_BLOCKTIME": "0"}  # GNU's OpenMP, in turns of a loop; LLVM's, in ms


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
    """Let threads that wait for each other sleep after some 0.05 ms, which leaves the core to whoever they wait for.

    A thread that spins until its time slice is over stops a whole step where another process wants its core; to sleep
    at once costs a step a fifth of its speed where none does. A choice of the user in the environment wins.
    """
    if not any(name in os.environ for name in OWN_WAITING):
        os.environ.update(SHORT_WAIT)


@cache
def freeze_imports() -> None:
    """Once in a process, tell Python that what was imported is no garbage: a search of it costs each run 0.25 s."""
    gc.freeze()


def import_torchmetrics_alone() -> None:
    """Let torchmetrics, which Lightning imports, leave out scipy.signal and matplotlib: 90 MB, a quarter of the start.

    It takes a name of the first, `hamming`, for a package of speech recognition that is not used here, and types of
    the second. Its plots import matplotlib when they are drawn, as the page of a run does after the training.
    """
    if "torchmetrics" not in sys.modules and not any(isinstance(one, WithoutPlots) for one in sys.meta_path):
        sys.meta_path.insert(0, WithoutPlots())


class WithoutPlots(MetaPathFinder):
    """Finds torchmetrics alone and once; while that is imported, modules that it does not need have stand-ins."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name != "torchmetrics":
            return None
        sys.meta_path.remove(self)
        spec = find_spec(name)
        if spec is None or spec.loader is None:
            return spec
        execute = spec.loader.exec_module

        def execute_alone(module: ModuleType) -> None:
            lent = {name: stand_in for name, stand_in in _stand_ins().items() if name not in sys.modules}
            sys.modules.update(lent)
            try:
                execute(module)
            finally:
                for name in lent:
                    del sys.modules[name]

        spec.loader.exec_module = execute_alone  # type: ignore[method-assign]
        return spec


def _stand_ins() -> dict[str, ModuleType]:
    """What torchmetrics takes from each module while it is imported; its plots find the rest in the module itself."""
    modules = [_stand_in("scipy.signal", hamming=None)]
    if "matplotlib" not in sys.modules:
        modules += _plotting()
    return {module.__name__: module for module in modules}


def _plotting() -> list[ModuleType]:
    style = SimpleNamespace(context=lambda _: lambda function: function)  # of its plots: matplotlib's default
    parts = {
        "axes": _stand_in("matplotlib.axes", Axes=object),
        "colors": _stand_in("matplotlib.colors", Colormap=object),
        "pyplot": _stand_in("matplotlib.pyplot", Figure=object, style=style),
    }
    return [_stand_in("matplotlib", **parts), *parts.values()]


def _stand_in(name: str, **content: Any) -> ModuleType:
    module = ModuleType(name)

    def find(attribute: str) -> Any:
        if attribute.startswith("__") or sys.modules.get(name) is module:  # inspect asks every module for its __file__
            raise AttributeError(f"{name}.{attribute}")
        return getattr(import_module(name), attribute)

    vars(module).update(content, __getattr__=find, __spec__=ModuleSpec(name, None))
    return module
