"""Tensors that say they are on cuda:0 and hold their numbers in the memory of the processor."""

from typing import Any

import torch
from torch import Tensor
from torch._utils import _rebuild_tensor_v2

DEVICE = torch.device("cuda", 0)


class Memory:
    """Bytes in use on the device, and the most that were."""

    def __init__(self) -> None:
        self.used = self.peak = 0

    def add(self, num_bytes: int) -> None:
        self.used += num_bytes
        self.peak = max(self.peak, self.used)


class _Claim:
    """Belongs to a storage on the device, and gives the memory back with it."""

    def __init__(self, memory: Memory, num_bytes: int) -> None:
        self._memory, self._num_bytes = memory, num_bytes
        memory.add(num_bytes)

    def __del__(self) -> None:
        self._memory.add(-self._num_bytes)


class DeviceTensor(torch.Tensor):
    """A tensor on the device; `host` holds its numbers."""

    host: Tensor

    @staticmethod
    def __new__(cls, host: Tensor, memory: Memory) -> "DeviceTensor":
        layout = {"strides": host.stride(), "storage_offset": host.storage_offset(), "dtype": host.dtype}
        tensor = torch.Tensor._make_wrapper_subclass(cls, host.shape, **layout, device=DEVICE)
        tensor.host, tensor.memory = host, memory
        storage = host.untyped_storage()
        if not hasattr(storage, "claim"):
            storage.claim = _Claim(memory, storage.nbytes())
        return tensor

    __torch_function__ = torch._C._disabled_torch_function_impl

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        raise RuntimeError(f"{func} on a tensor of an emulated device that is no longer there")

    def __repr__(self) -> str:  # type: ignore[override]
        return f"{self.host.detach()!r} on {DEVICE}"

    def numpy(self, **_: Any) -> Any:
        raise TypeError(f"can't convert {DEVICE} device type tensor to numpy. Use Tensor.cpu() first.")

    __array__ = numpy  # type: ignore[assignment]

    def tolist(self) -> Any:
        return self.cpu().tolist()

    def __format__(self, specification: str) -> str:
        return format(self.item(), specification) if self.dim() == 0 else object.__format__(self, specification)

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        copy: Tensor = self.detach().clone().requires_grad_(self.requires_grad)
        if isinstance(self, torch.nn.Parameter):
            copy = torch.nn.Parameter(copy, self.requires_grad)
        memo[id(self)] = copy
        return copy

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Pickle as torch does, with a storage whose location is cuda:0."""
        host = self.host.detach()
        storage = torch.storage.TypedStorage(wrap_storage=host.untyped_storage(), dtype=host.dtype, _internal=True)
        layout = (host.storage_offset(), tuple(host.shape), host.stride())
        return _rebuild_tensor_v2, (storage, *layout, self.requires_grad, {})


def location(storage: torch.UntypedStorage) -> str | None:
    """The location that torch.save writes for a storage on the device."""
    return str(DEVICE) if hasattr(storage, "claim") else None


def pin(host: Tensor) -> Tensor:
    """Mark host memory as pinned: a copy from it to the device can go on beside the processor."""
    host.untyped_storage().pinned = True
    return host


def is_pinned(tensor: Tensor) -> bool:
    return hasattr(tensor.untyped_storage(), "pinned")
