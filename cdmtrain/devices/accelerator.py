"""The name of the device that a run computes on."""

import os
import platform
from contextlib import suppress
from pathlib import Path

import torch


def accelerator_name(device: torch.device) -> str:
    """Return the model of the GPU, or of the processor with its number of threads."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type == "mps":
        return "Apple GPU (mps)"
    return f"{_processor_name()}, {torch.get_num_threads()} of {os.cpu_count()} threads"


def _processor_name() -> str:
    """The model of the processor where Linux tells it, else its kind."""
    with suppress(OSError, StopIteration):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return f"{platform.machine()} processor"
