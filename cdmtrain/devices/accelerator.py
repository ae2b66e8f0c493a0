"""The device that a run computes on: whether this machine has it, and its name."""

import os
import platform
from contextlib import suppress
from pathlib import Path

import torch
from lightning.pytorch.accelerators import AcceleratorRegistry

from cdmtrain.errors import InputError

GPUS = ("cuda", "mps")


def accelerator_name(device: torch.device) -> str:
    """Return the model of the GPU, or of the processor with its number of threads."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type == "mps":
        return "Apple GPU (mps)"
    return f"{_processor_name()}, {torch.get_num_threads()} of {os.cpu_count()} threads"


def check_accelerator(name: str) -> None:
    """Refuse an accelerator that Lightning does not know or this machine does not have."""
    known = sorted({"auto", "gpu", *AcceleratorRegistry.available_accelerators()})
    if name not in known:
        raise InputError(f"trainer.accelerator={name}: one of {', '.join(known)} is expected")
    kinds = GPUS if name == "gpu" else () if name == "auto" else (name,)
    if kinds and not any(AcceleratorRegistry[kind]["accelerator"].is_available() for kind in kinds):
        device = "GPU (CUDA or MPS)" if name == "gpu" else f"{name.upper()} device"
        raise InputError(
            f"trainer.accelerator={name}: no {device} is found on this machine; use trainer.accelerator=cpu or auto"
        )


def _processor_name() -> str:
    """The model of the processor where Linux tells it, else its kind."""
    with suppress(OSError, StopIteration):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return f"{platform.machine()} processor"
