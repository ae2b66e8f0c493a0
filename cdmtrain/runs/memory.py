"""Refuse a network that is larger than the memory of this machine or job, before any of it is allocated."""

import torch
from omegaconf import DictConfig

from cdmtrain.config.build import build
from cdmtrain.config.targets import with_num_classes
from cdmtrain.errors import InputError
from cdmtrain.machine import memory_bytes


def check_memory(cfg: DictConfig, num_classes: int) -> None:
    """Build the network without memory and count its bytes.

    A network whose constructor computes with its weights cannot be built so; it is not checked.

    Raises:
        InputError: where the parameters alone need more than there is.
    """
    try:
        with torch.random.fork_rng(devices=[]), torch.device("meta"):
            model = build(with_num_classes(cfg, num_classes), "model")
    except Exception:  # building the network itself says why, if it fails too
        return
    num_bytes = sum(one.numel() * one.element_size() for one in model.parameters())
    available = memory_bytes()
    if num_bytes > available:
        raise InputError(
            f"the parameters of the network need {num_bytes / 1e9:,.0f} GB, and this machine or job has "
            f"{available / 1e9:,.1f} GB; choose smaller settings of model"
        )
