"""What CUDA computes with libraries that a build without CUDA lacks, and settings that make room for its tensors."""

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.optim import Optimizer
from torch.utils import _foreach_utils
from torch.utils._python_dispatch import _disable_current_modes
from torch.utils._pytree import tree_leaves, tree_map_only

from .tensor import DeviceTensor

KERNELS = {"lstm": (6, 12), "gru": (6, 12), "scaled_dot_product_attention": (2, 4)}  # forward and backward


class Replacements:
    """Functions of torch, each computed as one operation of the device; autograd sees one node.

    Args:
        place: makes a tensor on the device from its numbers.
        count: counts kernels of an operation of this name.
    """

    def __init__(self, place: Callable[[Tensor], Tensor], count: Callable[[str, int], None]) -> None:
        self.place, self.count = place, count

    def installed(self) -> ExitStack:
        """Replace the functions as long as the returned context lasts, and let torch accept tensors of the device."""
        stack = ExitStack()
        for owner, name in ((torch._VF, "lstm"), (torch._VF, "gru"), (nn.functional, "scaled_dot_product_attention")):
            function = self._one_operation(name, getattr(owner, name))
            stack.enter_context(patch.object(owner, name, function, create=True))
        stack.enter_context(patch.object(torch.backends.cudnn, "is_acceptable", lambda tensor: False))
        activities = {torch.profiler.ProfilerActivity.CPU, torch.profiler.ProfilerActivity.CUDA}
        stack.enter_context(patch.object(torch.autograd.profiler, "_supported_activities", lambda: activities))
        autocast = torch.amp.autocast_mode.autocast.__init__.__globals__
        stack.enter_context(patch.dict(autocast, {"amp_definitely_not_available": lambda: False}))
        for module in (vars(_foreach_utils), Optimizer.__init__.__globals__):
            known = [*module["_foreach_supported_types"], DeviceTensor]  # optimizers join the kernels of tensors
            stack.enter_context(patch.dict(module, {"_foreach_supported_types": known}))
        stack.callback(torch._C._set_only_lift_cpu_tensors, torch._C._only_lift_cpu_tensors())
        torch._C._set_only_lift_cpu_tensors(True)
        stack.enter_context(patch.object(nn.Module, "_apply", _keeping_parameters(nn.Module._apply)))
        return stack

    def _one_operation(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def replaced(*args: Any, **kwargs: Any) -> Any:
            tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, DeviceTensor)]
            if not tensors:
                return function(*args, **kwargs)
            if torch.is_autocast_enabled("cuda"):
                dtype = torch.get_autocast_dtype("cuda")
                tensors = [one.to(dtype) if one.is_floating_point() else one for one in tensors]
            return _OneOperation.apply(self, name, function, args, kwargs, *tensors)

        return replaced


class _OneOperation(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, owner: Replacements, name: str, function: Any, args: Any, kwargs: Any, *tensors: DeviceTensor
    ) -> Any:
        differentiable = any(ctx.needs_input_grad)
        with _disable_current_modes(), torch.set_grad_enabled(differentiable):
            hosts = [one.host.detach() for one in tensors]
            for host in hosts:
                host.requires_grad_(differentiable and host.is_floating_point())
            left = iter(hosts)
            args, kwargs = tree_map_only(DeviceTensor, lambda _: next(left), (args, kwargs))
            found = function(*args, **kwargs)
        owner.count(name, KERNELS[name][0])
        if differentiable:
            ctx.owner, ctx.name, ctx.hosts, ctx.found = owner, name, hosts, tree_leaves(found)
        return tree_map_only(Tensor, lambda one: owner.place(one.detach()), found)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: DeviceTensor | None) -> Any:
        ctx.owner.count(ctx.name, KERNELS[ctx.name][1])
        given = [
            (one, gradient.host) for one, gradient in zip(ctx.found, gradients, strict=True) if gradient is not None
        ]
        wanted = [host for host in ctx.hosts if host.requires_grad]
        with _disable_current_modes():
            outputs, directions = zip(*given, strict=True)
            of_wanted = iter(torch.autograd.grad(outputs, wanted, directions, allow_unused=True))
        of_tensors = [next(of_wanted) if host.requires_grad else None for host in ctx.hosts]
        return None, None, None, None, None, *(None if one is None else ctx.owner.place(one) for one in of_tensors)


def _keeping_parameters(move: Callable[..., nn.Module]) -> Callable[..., nn.Module]:
    """Let a network that moves between devices keep its parameters as objects, as it does on a real device."""
    future = torch.__future__

    def moved(*args: Any, **kwargs: Any) -> nn.Module:
        before = future.get_swap_module_params_on_conversion()
        future.set_swap_module_params_on_conversion(True)
        try:
            return move(*args, **kwargs)
        finally:
            future.set_swap_module_params_on_conversion(before)

    return moved
