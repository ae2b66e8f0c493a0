"""The emulated device: runs every operation on it with the numbers that its tensors hold, and judges and counts it."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

import torch
import torch._dynamo  # torch imports it at the first use of a mode, and must not find the emulated driver then
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

from . import costs
from .counts import Counts, Lines
from .driver import Driver, Generator
from .guard import guarded
from .replacements import Replacements
from .tensor import DEVICE, DeviceTensor, Memory, is_pinned, location, pin

COPIES = ("_to_copy", "copy_", "_foreach_copy_")
TAKE_A_SCALAR = ("where", "masked_fill", "masked_fill_", "index_put", "index_put_", "_index_put_impl_", "fill", "fill_")


class EmulatedDevice(TorchDispatchMode):
    """A CUDA device that is not there. While it is active torch finds it, and CUDA is not initialised at first.

    It refuses operations with tensors of two devices, and counts kernels and synchronizations by the line of the
    program that they are for. `torch.compile` leaves functions as they are. It has neither several devices nor NCCL.
    """

    def __init__(self) -> None:
        super().__init__()
        self.counts = Counts()
        self._lines = Lines()
        self.memory = Memory()
        self.driver = Driver(self.memory, wait=self.wait)
        self.replacements = Replacements(place=lambda host: DeviceTensor(host, self.memory), count=self.start)

    def count(self) -> Counts:
        """Begin new counts."""
        self.counts = Counts()
        return self.counts

    def start(self, name: str, kernels: int) -> None:
        """Count kernels of an operation."""
        line = self._lines.current()  # also where there is no kernel: the backward pass of a view may have one
        if kernels:
            self.counts.kernels[name, line] += kernels

    def wait(self, reason: str) -> None:
        """Count that the processor waits for the device."""
        line = self._lines.current()
        self.counts.synchronizations[reason, line] += 1
        if self.driver.sync_debug_mode == 1:
            warnings.warn("called a synchronizing CUDA operation", stacklevel=2)
        if self.driver.sync_debug_mode == 2:
            raise RuntimeError("called a synchronizing CUDA operation")

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name, kwargs = func._schema.name.partition("::")[2], kwargs or {}
        leaves = tree_leaves((args, kwargs))
        on_device = [leaf for leaf in leaves if isinstance(leaf, DeviceTensor)]
        target = kwargs.get("device")
        to_device = bool(on_device) if target is None else torch.device(target).type == "cuda"
        if name in ("_pin_memory", "pin_memory", "is_pinned") and not on_device:
            pinned = is_pinned(args[0])
            return pinned if name == "is_pinned" else args[0] if pinned else pin(args[0].clone())
        if name == "record_stream":
            return None
        self._check_generator(leaves, to_device=to_device)
        if not on_device and not to_device:
            return _on_host(func, args, kwargs)
        if to_device:
            torch.cuda.init()
        if torch._C._dispatch_has_kernel_for_dispatch_key(func.name(), "CompositeImplicitAutograd"):
            with self:  # made of other operations; autograd has not taken it apart because it is off
                return func.decompose(*args, **kwargs)
        self._check_devices(func, name, leaves)
        self._count(func, name, args, kwargs, to_device=to_device)
        return self._run(func, args, kwargs, on_device, to_device=to_device)

    def _run(
        self, func: Any, args: Any, kwargs: dict[str, Any], on_device: Sequence[DeviceTensor], *, to_device: bool
    ) -> Any:
        """Run an operation on the host and put its results where they belong."""
        known = {id(tensor.host): tensor for tensor in on_device}
        if kwargs.get("device") is not None and to_device:
            kwargs = {**kwargs, "device": torch.device("cpu")}
        kwargs.pop("pin_memory", None)
        if torch.Tag.nondeterministic_seeded in func.tags and kwargs.get("generator") is None and to_device:
            context = _drawing_from(torch.cuda.default_generators[0])
        else:
            context = ExitStack()
        with context:
            hosts, named = tree_map_only(DeviceTensor, lambda tensor: tensor.host, (args, kwargs))
            found = func(*hosts, **named)

        # a view of a tensor from outside inference mode is none of its tensors
        inference = torch.is_inference_mode_enabled() and not (func.is_view and not on_device[0].is_inference())

        def placed(result: Tensor) -> Tensor:
            tensor = known.get(id(result))
            if tensor is None:
                with torch.inference_mode(inference):
                    return DeviceTensor(result, self.memory) if to_device else result
            if tensor.shape != result.shape:
                raise NotImplementedError(f"{func} changes the shape of a tensor on the emulated device")
            return tensor

        return tree_map_only(Tensor, placed, found)

    def _check_devices(self, func: Any, name: str, leaves: Sequence[Any]) -> None:
        """Refuse tensors on two devices, as CUDA does; a single number may be the processor's in some operations."""
        if name in COPIES or name == "_has_compatible_shallow_copy_type":
            return
        scalars = torch.Tag.pointwise in func.tags or name in TAKE_A_SCALAR or name.startswith("_foreach_")
        device_first = isinstance(leaves[0], DeviceTensor)
        for leaf in leaves:
            if not isinstance(leaf, Tensor) or isinstance(leaf, DeviceTensor) or (scalars and leaf.dim() == 0):
                continue
            if name in costs.BY_INDEX and device_first and leaf.dtype in (torch.int64, torch.bool, torch.uint8):
                self.wait("copy of an index")
                continue
            raise RuntimeError(
                "Expected all tensors to be on the same device, but found at least two devices, cuda:0 and cpu! "
                f"({func} of shapes {[tuple(one.shape) for one in leaves if isinstance(one, Tensor)]})"
            )

    def _check_generator(self, leaves: Sequence[Any], *, to_device: bool) -> None:
        for leaf in leaves:
            if isinstance(leaf, torch._C.Generator) and Generator.is_on_device(leaf) != to_device:
                expected, found = ("cuda", "cpu") if to_device else ("cpu", "cuda")
                raise RuntimeError(f"Expected a '{expected}' device type for generator but found '{found}'")

    def _count(self, func: Any, name: str, args: Any, kwargs: dict[str, Any], *, to_device: bool) -> None:
        if name in COPIES and (reason := self._copy(name, args, kwargs, to_device=to_device)):
            self.wait(reason)
        for reason in costs.waits(name, args, kwargs):
            self.wait(reason)
        self.start(name, 0 if func.is_view else costs.kernels(name, args))

    def _copy(self, name: str, args: Any, kwargs: dict[str, Any], *, to_device: bool) -> str:
        """Why the processor waits in a copy; empty where it does not."""
        source = args[0] if name == "_to_copy" else args[1]
        source = source[0] if name == "_foreach_copy_" else source
        if name != "_to_copy":
            to_device = bool(isinstance(tree_leaves(args[0])[0], DeviceTensor))
        asynchronous = kwargs.get("non_blocking", False) or (name == "copy_" and len(args) > 2 and args[2])
        if isinstance(source, DeviceTensor):
            return "" if to_device or asynchronous else "copy to the processor"
        if source.numel() == 0:
            return ""
        if not is_pinned(source):
            return "copy from pageable memory"
        return "" if asynchronous else "copy from pinned memory that is not non_blocking"


def _on_host(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """An operation on the processor alone; memory is pinned if it is asked for."""
    if not kwargs.get("pin_memory"):
        return func(*args, **kwargs)
    return pin(func(*args, **{**kwargs, "pin_memory": False}))


@contextmanager
def _drawing_from(generator: torch.Generator) -> Iterator[None]:
    """Let operations that are given no generator draw from this one."""
    default = torch.default_generator
    state = default.get_state()
    default.set_state(generator.get_state())
    try:
        yield
    finally:
        generator.set_state(default.get_state())
        default.set_state(state)


@contextmanager
def emulated_device() -> Iterator[EmulatedDevice]:
    """The only CUDA device of this process, as long as the context lasts."""
    device = EmulatedDevice()
    with ExitStack() as stack:
        stack.enter_context(guarded())
        stack.enter_context(device.driver.installed())
        stack.enter_context(device.replacements.installed())
        stack.enter_context(_gradients_on_this_thread())
        stack.enter_context(_registered_location())
        stack.enter_context(device)
        yield device


@contextmanager
def _gradients_on_this_thread() -> Iterator[None]:
    """Let autograd start no thread for the device, even after `torch.inference_mode(False)`, which allows them."""
    single, original = torch.autograd.set_multithreading_enabled, torch.autograd.grad

    def grad(*args: Any, **kwargs: Any) -> Any:
        with single(False):
            return original(*args, **kwargs)

    with single(False), patch.object(torch.autograd, "grad", grad):
        yield


@contextmanager
def _registered_location() -> Iterator[None]:
    """Let torch.save write that a storage is on the device."""
    first = (0, location, lambda storage, where: None)
    with patch.object(torch.serialization, "_package_registry", [first, *torch.serialization._package_registry]):
        yield


__all__ = ["DEVICE", "EmulatedDevice", "emulated_device"]
