"""What a network is, apart from any clock: parameters and floating-point operations."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.autograd import DeviceType
from torch.utils.flop_counter import FlopCounterMode


def num_parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def flops(function: Callable[[], Tensor]) -> tuple[int, int]:
    """Floating-point operations of a function, and of it with its backward pass, as torch counts them.

    Those of matrix products, convolutions and attention; sums, activations, gathers and scatters are not counted.
    """
    with _without_onednn(), FlopCounterMode(display=False) as counter:
        result = function()
        forward = counter.get_total_flops()
        result.sum().backward()
        return forward, counter.get_total_flops()


def device_seconds(function: Callable[[], object]) -> float:
    """Seconds that a CUDA device computes for a function, waiting left out."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA], acc_events=True) as profile:
        function()
        torch.cuda.synchronize()
    kernels = [one for one in profile.events() if one.device_type == DeviceType.CUDA and not one.is_user_annotation]
    return sum(one.self_device_time_total for one in kernels) / 1e6  # microseconds


@contextmanager
def _without_onednn() -> Iterator[None]:
    """Its LSTM is one operation, which is not counted; torch's own is matrix products."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that there is no Intel GPU
        with torch.backends.mkldnn.flags(enabled=False):
            yield
