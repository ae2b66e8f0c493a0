"""Measure the cost of a training: seconds, events per second, peak memory."""

import ctypes
import gc
import re
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback

from cdmtrain.batch import EventBatch


class Resources(Callback):
    """Count the seconds and events of the training steps, with loading and checkpoints but without validation.

    The counts are kept in checkpoints, so a resumed run adds to them. Logs `epoch_seconds` and `events_per_second`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.seconds = 0.0
        self.events = 0
        self._epoch_seconds = 0.0
        self._epoch_events = 0
        self._since = time.perf_counter()

    @property
    def events_per_second(self) -> float:
        return self.events / self.seconds if self.seconds else 0.0

    def state_dict(self) -> dict[str, Any]:
        epoch = {"epoch_seconds": self._epoch_seconds, "epoch_events": self._epoch_events}
        return {"seconds": self.seconds, "events": self.events, **epoch}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.seconds, self.events = state_dict["seconds"], state_dict["events"]
        self._epoch_seconds, self._epoch_events = state_dict["epoch_seconds"], state_dict["epoch_events"]

    def on_train_start(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        self._since = time.perf_counter()
        reset_peak_memory(module.device)

    def on_validation_end(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        self._since = time.perf_counter()

    on_train_epoch_start = on_validation_end  # type: ignore[assignment]  # Lightning calls it by position

    def on_train_batch_end(
        self, trainer: lightning.Trainer, module: Any, outputs: Any, batch: EventBatch, batch_idx: int
    ) -> None:
        now = time.perf_counter()
        taken, self._since = now - self._since, now
        events = batch.num_events * trainer.world_size
        self.seconds, self.events = self.seconds + taken, self.events + events
        self._epoch_seconds, self._epoch_events = self._epoch_seconds + taken, self._epoch_events + events

    def on_train_epoch_end(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        module.log("epoch_seconds", self._epoch_seconds, sync_dist=True)
        module.log("events_per_second", self._epoch_events / max(self._epoch_seconds, 1e-9), sync_dist=True)
        self._epoch_seconds, self._epoch_events = 0.0, 0


def reset_peak_memory(device: torch.device) -> None:
    """Reset the peak of a GPU, or of this process (on Linux only: elsewhere the peak covers all runs of a process)."""
    if device.type == "cuda":
        if torch.cuda.is_initialized():  # otherwise nothing is allocated, and torch refuses
            torch.cuda.reset_peak_memory_stats(device)
        return
    gc.collect()  # the previous run of a sweep
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)  # and what glibc holds back of it
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # man 5 proc: sets the peak resident size to the current


def peak_memory_bytes(device: torch.device) -> int:
    """Return the peak of a CUDA device, or of this process, since `reset_peak_memory`."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    with suppress(OSError, TypeError):  # getrusage would include the process that started this one
        peak = re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())
        return int(peak[1]) * 1024  # type: ignore[index]
    import resource  # which Windows lacks

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
