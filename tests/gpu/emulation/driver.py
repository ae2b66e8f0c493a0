"""What torch.cuda asks of the CUDA driver, answered without one: initialisation, memory, streams, events, generators.

Only the functions that torch.cuda calls are replaced. What torch.cuda does by itself stays, such as its initialisation
at the first use, and its errors before.
"""

import time
from collections.abc import Callable
from contextlib import ExitStack
from types import SimpleNamespace
from typing import Any, ClassVar
from unittest.mock import patch
from weakref import WeakValueDictionary

import torch

from .tensor import DEVICE, Memory

NAME = "Emulated GPU"


class Generator(torch.Generator):
    """A random generator on the device. It draws the numbers that one on the processor draws."""

    device = DEVICE  # type: ignore[assignment]
    _known: ClassVar[WeakValueDictionary[int, "Generator"]] = WeakValueDictionary()

    def __new__(cls, device: Any = "cpu") -> Any:
        if torch.device(device).type != "cuda":
            return CpuGenerator(device)
        generator = super().__new__(cls, "cpu")
        cls._known[generator._cdata] = generator
        return generator

    @classmethod
    def is_on_device(cls, generator: torch.Generator) -> bool:
        """Whether this is a generator on the device; operations receive it as an object of another class."""
        return generator._cdata in cls._known


CpuGenerator = torch.Generator


class Stream(torch.Stream):
    """A queue of work, which is done when it is asked for."""

    def __new__(cls, device: Any = None, priority: int = 0, stream_id: int = 1, **_: Any) -> Any:
        return super().__new__(cls, stream_id=stream_id, device_index=0, device_type=1)

    def wait_event(self, event: Any) -> None: ...

    def wait_stream(self, stream: Any) -> None: ...

    def record_event(self, event: Any = None) -> "Event":
        event = event or Event()
        event.record(self)
        return event

    def query(self) -> bool:
        return True

    def synchronize(self) -> None:
        torch._C._cuda_synchronize()


class Event:
    """A mark in a stream, with the time at which the processor made it."""

    def __init__(self, enable_timing: bool = False, blocking: bool = False, interprocess: bool = False) -> None:
        self._seconds: float | None = None

    def record(self, stream: Any = None) -> None:
        torch.cuda.init()
        self._seconds = time.perf_counter()

    def wait(self, stream: Any = None) -> None: ...

    def query(self) -> bool:
        return True

    def synchronize(self) -> None:
        torch._C._cuda_synchronize()

    def elapsed_time(self, end: "Event") -> float:
        if self._seconds is None or end._seconds is None:
            raise RuntimeError("Both events must be recorded before calculating elapsed time.")
        return 1000 * (end._seconds - self._seconds)


class Driver:
    """The functions of torch._C that a build with CUDA has."""

    def __init__(self, memory: Memory, *, wait: Callable[[str], None]) -> None:
        self.initialised = False
        self.sync_debug_mode = 0
        self.total_memory_bytes = 80 * 2**30
        self._memory = memory
        self._wait = wait
        self._stream = (0, 0, 1)

    def installed(self) -> ExitStack:
        """Replace what a build without CUDA lacks, as long as the returned context lasts; CUDA is not initialised."""
        stack = ExitStack()
        functions = {
            "getDeviceCount": lambda: 1,
            "init": self._init,
            "getDevice": lambda: 0,
            "setDevice": lambda index: self._init(),
            "synchronize": lambda: self._wait("synchronize"),
            "memoryStats": self._memory_stats,
            "resetPeakMemoryStats": self._reset_peak_memory_stats,
            "emptyCache": lambda: None,
            "getCurrentStream": lambda index: self._stream,
            "getDefaultStream": lambda index: (0, 0, 1),
            "setStream": self._set_stream,
            "set_sync_debug_mode": lambda mode: setattr(self, "sync_debug_mode", mode),
            "get_sync_debug_mode": lambda: self.sync_debug_mode,
            "clearCublasWorkspaces": lambda: None,
            "isInBadFork": lambda: False,
            "getArchFlags": lambda: "sm_90",
        }
        for name, function in functions.items():
            stack.enter_context(patch.object(torch._C, f"_cuda_{name}", function, create=True))
        runtime = SimpleNamespace(cudaMemGetInfo=lambda index: (self.free_bytes, self.total_memory_bytes))
        changed = {
            "_initialized": False,
            "_queued_calls": [],
            "_cached_device_count": None,
            "_lazy_seed_tracker": torch.cuda._LazySeedTracker(),
            "default_generators": (),
            "_cudart": runtime,
            "_get_device_properties": lambda index: self._properties(),
            "_device_count_nvml": lambda: 1,
            "_exchange_device": lambda index: 0,
            "_maybe_exchange_device": lambda index: 0,
            "Stream": Stream,
            "Event": Event,
        }
        for name, value in changed.items():
            stack.enter_context(patch.object(torch.cuda, name, value, create=True))
        stack.enter_context(patch.object(torch, "Generator", Generator))
        stack.enter_context(patch.object(torch._C, "_has_cuda", True))
        stack.enter_context(patch.object(torch.version, "cuda", "13.0"))
        return stack

    @property
    def free_bytes(self) -> int:
        return self.total_memory_bytes - self._memory.used

    def _properties(self) -> SimpleNamespace:
        sizes = {"total_memory": self.total_memory_bytes, "multi_processor_count": 132}
        return SimpleNamespace(name=NAME, major=9, minor=0, **sizes)

    def _init(self) -> None:
        if not self.initialised:
            self.initialised = True
            torch.cuda.default_generators = (Generator(DEVICE),)

    def _memory_stats(self, index: int) -> dict[str, Any]:
        statistics = {"current": self._memory.used, "peak": self._memory.peak, "allocated": 0, "freed": 0}
        return {"allocated_bytes": {"all": statistics}, "reserved_bytes": {"all": statistics}}

    def _reset_peak_memory_stats(self, index: int) -> None:
        if not self.initialised:  # c10/cuda/CUDACachingAllocator.cpp, assertValidDevice
            raise RuntimeError(f"Invalid device argument {index}: did you call init?")
        self._memory.peak = self._memory.used

    def _set_stream(self, *, stream_id: int, device_index: int, device_type: int) -> None:
        self._stream = (stream_id, device_index, device_type)
