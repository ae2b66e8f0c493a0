"""Batches on the device that computes: gathered from its own memory, or copied to it during the step before."""

import gc
from dataclasses import replace
from typing import ClassVar, Protocol

import torch
from jaxtyping import Int
from torch import Tensor

from cdmtrain.batch import EventBatch
from cdmtrain.data.store import EventStore
from cdmtrain.errors import InputError
from cdmtrain.machine import memory_bytes

SHARE = 0.25  # of a device's free memory that a store may take by itself; the network and its activations need the rest
HITS_AT_A_TIME = 2**24  # 64 MB of host memory while a store is uploaded


class Events(Protocol):
    """Makes batches of the events of a store, on one device; `where` says where the hits lie."""

    where: ClassVar[str]

    def make_batch(self, dataset_index: Int[Tensor, " chosen"]) -> EventBatch: ...


class DeviceStore:
    """A store whose hits lie in the memory of a device, where batches are gathered.

    A batch sends 32 bytes an event. Its number of hits is known from the offsets on the host, so that the host never
    waits for the device. Batches are those of the EventStore to the bit.
    """

    where: ClassVar[str] = "in the memory of the device, where each batch is gathered"

    def __init__(self, store: EventStore, device: torch.device) -> None:
        self._store = store
        self._device = device
        self._pixel = torch.empty(store.num_hits, dtype=torch.int32, device=device)
        self._energy = torch.empty(store.num_hits, device=device)
        for first, pixel, energy in store.hits(at_a_time=HITS_AT_A_TIME):
            self._pixel[first : first + len(pixel)].copy_(torch.tensor(pixel))
            self._energy[first : first + len(energy)].copy_(torch.tensor(energy))

    def make_batch(self, dataset_index: Int[Tensor, " chosen"]) -> EventBatch:
        first, offset = self._store.locate(dataset_index)
        num_events, num_hits = len(dataset_index), int(offset[-1])
        numbers = [dataset_index, self._store.class_index[dataset_index], first - offset[:-1], offset]
        sent = _send(torch.cat(numbers), self._device)
        dataset_index, class_index, shift, offset = sent.split([num_events, num_events, num_events, num_events + 1])
        hit = torch.arange(num_hits, device=self._device)
        event = torch.bucketize(hit, offset[1:], right=True)
        stored = hit + shift.index_select(0, event)
        return EventBatch(
            pixel=self._pixel.index_select(0, stored).long(),
            energy=self._energy.index_select(0, stored),
            offset=offset,
            class_index=class_index,
            dataset_index=dataset_index,
            image_size=self._store.image_size,
        )


class CopiedStore:
    """A store in the memory of the host, whose batches are copied to a device.

    On a GPU the copy has its own stream: it runs while the GPU still computes the step before, and the host does not
    wait for it.
    """

    where: ClassVar[str] = "in the memory of the host, from where each batch is copied to the device"

    def __init__(self, store: EventStore, device: torch.device) -> None:
        self._store = store
        self._device = device
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None

    def make_batch(self, dataset_index: Int[Tensor, " chosen"]) -> EventBatch:
        batch = self._store.make_batch(dataset_index)
        if self._stream is None:
            return batch.to(self._device)
        tensors = {name: value for name, value in vars(batch).items() if isinstance(value, Tensor)}
        with torch.cuda.stream(self._stream):
            copied = {name: _send(value, self._device) for name, value in tensors.items()}
        computing = torch.cuda.current_stream(self._device)
        computing.wait_stream(self._stream)
        for value in copied.values():
            value.record_stream(computing)  # else the next copy could overwrite what the step still reads
        return replace(batch, **copied)  # type: ignore[arg-type]


def place(store: EventStore, device: torch.device, on_device: bool | str) -> Events:
    """Choose where the hits are while they are used.

    Args:
        store: the events.
        device: the device that computes.
        on_device: True for the memory of the device, False for that of the host, "auto" for that of the device if it is
            not the CPU and the hits take at most SHARE of its free memory.

    Raises:
        InputError: where True does not fit.
    """
    if on_device is False or (on_device == "auto" and device.type == "cpu"):
        return store if device.type == "cpu" else CopiedStore(store, device)
    free = free_bytes(device)
    if on_device is True and store.hit_bytes > free:
        raise InputError(
            f"data.on_device=true: the hits take {store.hit_bytes / 1e9:.2f} GB, and {free / 1e9:.2f} GB are free on "
            f"{device}; set data.on_device=auto or false, which copies each batch"
        )
    if on_device is True or store.hit_bytes <= SHARE * free:
        return DeviceStore(store, device)
    return CopiedStore(store, device)


def free_bytes(device: torch.device) -> int:
    """The memory of a GPU that is free; all memory of the machine or job for the CPU; 0 where it is not known."""
    gc.collect()  # the store of the previous run of a sweep
    if device.type == "cuda":
        torch.cuda.empty_cache()
        return torch.cuda.mem_get_info(device)[0]
    if device.type == "mps":
        return torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory()
    return memory_bytes() if device.type == "cpu" else 0


def _send(value: Tensor, device: torch.device) -> Tensor:
    """Copy to a device; a GPU reads pinned memory by itself, and the host does not wait."""
    return value.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else value.to(device)
