"""The types that cross borders: EventBatch from data, then Image, Hits, Graph or Sequence to a model.

Every type moves between devices with `.to(device)`. Energies are deposited energies in MeV, positions are pixel
numbers (row * image_size + column), and "hit" is the axis of lit pixels of all events of a batch, in event order.
"""

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any, TypeVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

OnDevice = TypeVar("OnDevice", bound="_OnDevice")
Batch = TypeVar("Batch", bound="EventBatch")
Pairs = tuple[Int[Tensor, " _pair"], Int[Tensor, " _pair"]]


class _OnDevice:
    """Moves every tensor field of a dataclass at once."""

    def to(self: OnDevice, device: torch.device | str, *, non_blocking: bool = False) -> OnDevice:
        def move(value: Any) -> Any:
            return value.to(device, non_blocking=non_blocking) if isinstance(value, Tensor) else value

        return type(self)(**{field.name: move(getattr(self, field.name)) for field in fields(self)})  # type: ignore[arg-type]


class LitPixels(_OnDevice):
    """The lit pixels of some events: what follows from their numbers alone, such as rows, events and neighbours.

    Rows, columns, events and keys are computed once, when asked for.
    """

    pixel: Int[Tensor, " hit"]
    offset: Int[Tensor, " event_plus_1"]
    image_size: int

    @property
    def num_hits(self) -> Int[Tensor, " event"]:
        return self.offset.diff()

    @cached_property
    def event(self) -> Int[Tensor, " hit"]:
        """Which event of the batch each hit belongs to."""
        return self._event()

    @cached_property
    def row(self) -> Int[Tensor, " hit"]:
        return self.pixel // self.image_size

    @cached_property
    def column(self) -> Int[Tensor, " hit"]:
        return self.pixel % self.image_size

    @cached_property
    def key(self) -> Int[Tensor, " hit"]:
        """The number of each pixel when all images of the batch are stacked into one.

        The stacked image has stride S + 1: a dark line above each image and a dark column to its left. So the pixel
        beside a border pixel belongs to no other image and to no other line, and two keys differ by
        rows * (S + 1) + columns exactly if their pixels are that far apart in one event (as long as that is at most
        one row and one column). Keys ascend if the pixels of each event do.
        """
        stride = self.image_size + 1
        return (self.pixel + self.row + (stride + 1)).add(self.event, alpha=stride**2)

    def pairs(self, shifts: Iterable[tuple[int, int]]) -> Pairs:
        """Find the lit pixels of an event that lie some rows and columns apart.

        Args:
            shifts: (rows, columns), each at most one row and one column, the first below or to the right.

        Returns:
            The hits (first, second), ascending, with second = first + (rows, columns), for one shift after another.

        The pixels of an event must ascend. A bit for every pixel of the stacked image answers whether it is lit, which
        is faster than searching the sorted keys.
        """
        key, stride = self.key, self.image_size + 1
        num_pixels = ((len(self.offset) - 1) * stride + 2) * stride
        lit = key.new_zeros(num_pixels // 64 + 1).index_add_(0, key >> 6, _bit(key))
        steps = [rows * stride + columns for rows, columns in shifts]
        other = torch.stack([key + step for step in steps] + [key - step for step in steps])
        partnered = lit.index_select(0, (other >> 6).view(-1)).view_as(other) & _bit(other)
        hit = partnered.nonzero()[:, 1]  # keys ascend: the n-th first of a shift belongs to its n-th second
        first, second = hit.view(2, -1)
        return first, second

    def _event(self) -> Int[Tensor, " hit"]:
        if (
            torch.compiler.is_compiling() and not torch.compiler.is_dynamo_compiling()
        ):  # exporters know these operations
            end = self.offset[1:]
            ended = end.new_zeros(self.pixel.shape[0] + 1).scatter_add(0, end, torch.ones_like(end))
            return ended.cumsum(0)[:-1]  # the number of events that end before a hit
        return torch.repeat_interleave(self.num_hits, output_size=self.pixel.shape[0])

    def image(self, x: Float[Tensor, " hit"]) -> Float[Tensor, "event 1 row column"]:
        """Dense images with these numbers at the lit pixels and zero at the others."""
        num_events, size = self.offset.shape[0] - 1, self.image_size
        place = self.pixel.add(self._event(), alpha=size**2)  # the compiler does not enter a cached property
        dense = x.new_zeros(num_events * size**2)
        return dense.scatter_(0, place, x).view(num_events, 1, size, size)  # unique places: their order does not matter

    def reduce(self, x: Float[Tensor, "hit column"], how: str) -> Float[Tensor, "event column"]:
        """Sum, mean or max of each column over the hits of an event; 0 without a hit. Max expects no negative value."""
        return reduce_events(x, self.offset, how)


def reduce_events(
    x: Float[Tensor, "row column"], offset: Int[Tensor, " event_plus_1"], how: str
) -> Float[Tensor, "event column"]:
    """Sum, mean or max of each column over the rows offset[i] : offset[i + 1] of event i, as in `LitPixels.reduce`.

    Half precision is reduced in float32: torch adds in the type of x, and ones in bfloat16 would add up to 256.
    """
    x = x.to(torch.promote_types(x.dtype, torch.float32))
    return torch.segment_reduce(x, how, offsets=offset, initial=0, unsafe=True)  # to check them would make a GPU wait


def _bit(key: Int[Tensor, "*hit"]) -> Int[Tensor, "*hit"]:
    """The bit of a pixel in its word of 64."""
    return key.new_ones(1) << (key & 63)


@dataclass(frozen=True)
class EventBatch(LitPixels):
    """Some events, sparse: from `cdmtrain.data` to a representation.

    Event i has no lit pixel if `offset[i] == offset[i + 1]`.
    """

    pixel: Int[Tensor, " hit"]  # row * image_size + column, ascending and unique within an event
    energy: Float[Tensor, " hit"]  # deposited energy, MeV
    offset: Int[Tensor, " event_plus_1"]  # hits of event i are offset[i] : offset[i + 1]
    class_index: Int[Tensor, " event"]  # truth, -1 where unknown
    dataset_index: Int[Tensor, " event"]  # position of the event in the data set (all files one after another)
    image_size: int  # rows = columns of the image
    weight: float = 1.0  # of this process's mean loss under DDP (1 unless the batch is split unevenly)

    @property
    def num_events(self) -> int:
        return self.class_index.shape[0]  # len() would become a constant in an exported network

    def mask_hits(self: "Batch", mask: Bool[Tensor, " hit"]) -> "Batch":
        """The same events with only the hits that the mask selects; an event may lose all of them."""
        hit = mask.nonzero().squeeze(1)
        pixel, energy = self.pixel.index_select(0, hit), self.energy.index_select(0, hit)
        return replace(self, pixel=pixel, energy=energy, offset=torch.searchsorted(hit, self.offset))


@dataclass(frozen=True)
class Hits(LitPixels):
    """The lit pixels themselves, for layers that take sparse input."""

    pixel: Int[Tensor, " hit"]  # row * image_size + column, ascending and unique within an event
    energy: Float[Tensor, " hit"]  # MeV, or on the representation's scale
    offset: Int[Tensor, " event_plus_1"]  # hits of event i are offset[i] : offset[i + 1]
    image_size: int  # rows = columns of the image
    feature: Float[Tensor, "hit feature"]  # of each hit, then those of its event; may have no column
    event_feature: Float[Tensor, "event event_feature"]  # of the event as a whole; may have no column

    @property
    def num_events(self) -> int:
        return self.offset.shape[0] - 1


@dataclass(frozen=True)
class Image(_OnDevice):
    """Dense images."""

    energy: Float[Tensor, "event channel row column"]  # MeV, or on the representation's scale

    @property
    def num_events(self) -> int:
        return len(self.energy)


@dataclass(frozen=True)
class Graph(_OnDevice):
    """All graphs of a batch as one graph without edges between events."""

    feature: Float[Tensor, "node feature"]  # of each node, then those of its event
    edge_index: Int[Tensor, "2 edge"]  # source and target node of each directed edge
    edge_feature: Float[Tensor, "edge edge_feature"]  # of each edge, such as its length; may have no column
    event: Int[Tensor, " node"]  # which event each node belongs to, ascending
    num_events: int  # also counts events without a node


@dataclass(frozen=True)
class Sequence(_OnDevice):
    """Hits of each event in an order, padded to the longest event of the batch (at least one element)."""

    feature: Float[Tensor, "event element feature"]  # of each hit, then those of its event; zero where padded
    mask: Bool[Tensor, "event element"]  # True where there is a hit

    @property
    def num_events(self) -> int:
        return len(self.mask)
