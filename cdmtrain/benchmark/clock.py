"""Times batches: on a CPU by its clock, on a GPU by events in its stream of work."""

import time
from dataclasses import dataclass, field
from typing import Any

import torch


@dataclass
class BatchTimes:
    """The number of events and the seconds of each of some consecutive batches."""

    events: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


class Clock:
    """Marks the ends of batches without waiting for the device, which is synchronised only before and after a block.

    On a GPU the time of a batch runs from the moment the GPU finished the previous batch until it finishes this one. It
    includes what the GPU computes and how long it waits for the CPU.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._events: list[int] = []
        self._marks: list[Any] = []

    def start(self) -> None:
        """Wait for the device, then begin a block."""
        self._synchronize()
        self._events, self._marks = [], [self._now()]

    def mark(self, events: int) -> None:
        """Mark the end of a batch of this many events."""
        self._marks.append(self._now())
        self._events.append(events)

    def __len__(self) -> int:
        return len(self._events)

    def block(self) -> BatchTimes:
        """Wait for the device, then return the times since the start."""
        self._synchronize()
        pairs = zip(self._marks[:-1], self._marks[1:], strict=True)
        return BatchTimes(self._events, [self._between(start, end) for start, end in pairs])

    def _synchronize(self) -> None:
        if self._device.type != "cpu":
            torch.get_device_module(self._device).synchronize()

    def _now(self) -> Any:
        if self._device.type == "cpu":
            return time.perf_counter()
        mark = torch.get_device_module(self._device).Event(enable_timing=True)
        mark.record()
        return mark

    def _between(self, start: Any, end: Any) -> float:
        return end - start if self._device.type == "cpu" else start.elapsed_time(end) / 1000  # milliseconds
