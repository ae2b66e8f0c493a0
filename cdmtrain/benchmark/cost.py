"""Parameters and floating-point operations of a network, and the computing time of a GPU."""

import warnings
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.autograd import DeviceType
from torch.utils.flop_counter import FlopCounterMode


def num_parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def flops(function: Callable[[], Tensor]) -> tuple[int, int]:
    """Count the floating-point operations of a function, without and with its backward pass.

    torch counts matrix products, convolutions and attention, but no sums, activations, gathers or scatters.
    """
    # without oneDNN, whose LSTM is one operation that torch does not count; its own is matrix products
    without_onednn = torch.backends.mkldnn.flags(enabled=False)
    # ignored: torch warns that there is no Intel GPU
    with warnings.catch_warnings(action="ignore"), without_onednn, FlopCounterMode(display=False) as counter:
        result = function()
        forward = counter.get_total_flops()
        result.sum().backward()
        return forward, counter.get_total_flops()


def device_seconds(function: Callable[[], object]) -> float:
    """Sum the seconds of the CUDA kernels of a function; waiting is not included."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA], acc_events=True) as profile:
        function()
        torch.cuda.synchronize()
    kernels = [one for one in profile.events() if one.device_type == DeviceType.CUDA and not one.is_user_annotation]
    return sum(one.self_device_time_total for one in kernels) / 1e6  # microseconds
