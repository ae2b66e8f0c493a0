"""Seconds between marks, of a processor by its clock, of a GPU by events in its own stream of work."""

import time
from dataclasses import dataclass, field
from typing import Any

import torch


@dataclass
class Block:
    """Some batches in a row: the events and the seconds of each."""

    events: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


class Clock:
    """Marks the ends of batches on a device without waiting for it; waits once, when a block is over.

    On a GPU a batch lasts from the moment the GPU was done with the one before until it is done with this one: what it
    computes and what it waits for.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._events: list[int] = []
        self._marks: list[Any] = []

    def start(self) -> None:
        """Begin a block, once the device has nothing left to do."""
        self._synchronize()
        self._events, self._marks = [], [self._now()]

    def mark(self, events: int) -> None:
        """The end of a batch of so many events."""
        self._marks.append(self._now())
        self._events.append(events)

    def __len__(self) -> int:
        return len(self._events)

    def block(self) -> Block:
        """What was marked since the start."""
        self._synchronize()
        pairs = zip(self._marks[:-1], self._marks[1:], strict=True)
        return Block(self._events, [self._between(one, other) for one, other in pairs])

    def _synchronize(self) -> None:
        if self._device.type != "cpu":
            torch.get_device_module(self._device).synchronize()

    def _now(self) -> Any:
        if self._device.type == "cpu":
            return time.perf_counter()
        mark = torch.get_device_module(self._device).Event(enable_timing=True)
        mark.record()
        return mark

    def _between(self, one: Any, other: Any) -> float:
        return other - one if self._device.type == "cpu" else one.elapsed_time(other) / 1000
