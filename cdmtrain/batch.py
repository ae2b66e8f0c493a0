"""The types that cross borders: EventBatch from data, then Image, Hits, Graph or Sequence to a model.

Every type moves between devices with `.to(device)`. Energies are deposited energies in MeV, positions are pixel
numbers (row * image_size + column), and "hit" is the axis of lit pixels of all events of a batch, in event order.
"""

from dataclasses import dataclass, fields
from typing import Any, TypeVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

OnDevice = TypeVar("OnDevice", bound="_OnDevice")


class _OnDevice:
    """Moves every tensor field of a dataclass at once."""

    def to(self: OnDevice, device: torch.device | str, *, non_blocking: bool = False) -> OnDevice:
        def move(value: Any) -> Any:
            return value.to(device, non_blocking=non_blocking) if isinstance(value, Tensor) else value

        return type(self)(**{field.name: move(getattr(self, field.name)) for field in fields(self)})  # type: ignore[arg-type]


class _LitPixels(_OnDevice):
    """What follows from the pixel numbers of the hits of some events."""

    pixel: Int[Tensor, " hit"]
    offset: Int[Tensor, " event_plus_1"]
    image_size: int

    @property
    def num_hits(self) -> Int[Tensor, " event"]:
        return self.offset.diff()

    @property
    def event(self) -> Int[Tensor, " hit"]:
        """Which event of the batch each hit belongs to."""
        return torch.repeat_interleave(self.num_hits, output_size=len(self.pixel))

    @property
    def row(self) -> Int[Tensor, " hit"]:
        return self.pixel // self.image_size

    @property
    def column(self) -> Int[Tensor, " hit"]:
        return self.pixel % self.image_size


@dataclass(frozen=True)
class EventBatch(_LitPixels):
    """Some events, sparse: what the data room gives and a representation takes.

    An event without a lit pixel is an event with `offset[i] == offset[i + 1]`.
    """

    pixel: Int[Tensor, " hit"]  # row * image_size + column, ascending and unique within an event
    energy: Float[Tensor, " hit"]  # deposited energy, MeV
    offset: Int[Tensor, " event_plus_1"]  # hits of event i are offset[i] : offset[i + 1]
    class_index: Int[Tensor, " event"]  # truth, -1 where unknown
    dataset_index: Int[Tensor, " event"]  # position of the event in the data set (all files one after another)
    image_size: int  # rows = columns of the image
    weight: float = 1.0  # of its mean loss among the processes: 1 but where they share a batch unevenly

    @property
    def num_events(self) -> int:
        return self.class_index.shape[0]  # len would fix the number where a network is exported


@dataclass(frozen=True)
class Hits(_LitPixels):
    """The lit pixels themselves, for layers that eat sparse input."""

    pixel: Int[Tensor, " hit"]  # row * image_size + column, ascending and unique within an event
    energy: Float[Tensor, " hit"]  # MeV, or what the representation's scale made of it
    offset: Int[Tensor, " event_plus_1"]  # hits of event i are offset[i] : offset[i + 1]
    image_size: int  # rows = columns of the image

    @property
    def num_events(self) -> int:
        return self.offset.shape[0] - 1


@dataclass(frozen=True)
class Image(_OnDevice):
    """Dense images."""

    energy: Float[Tensor, "event channel row column"]  # MeV, or what the representation's scale made of it

    @property
    def num_events(self) -> int:
        return len(self.energy)


@dataclass(frozen=True)
class Graph(_OnDevice):
    """All graphs of a batch as one graph without edges between events."""

    feature: Float[Tensor, "node feature"]  # energy in MeV first, then what the representation adds
    edge_index: Int[Tensor, "2 edge"]  # source and target node of each directed edge
    edge_feature: Float[Tensor, "edge edge_feature"]  # what the representation says of each edge; may have no column
    event: Int[Tensor, " node"]  # which event each node belongs to, ascending
    num_events: int  # also counts events without a node


@dataclass(frozen=True)
class Sequence(_OnDevice):
    """Hits of each event in an order, padded to the longest event of the batch (at least one place)."""

    feature: Float[Tensor, "event place feature"]  # energy in MeV first; zero where padded
    mask: Bool[Tensor, "event place"]  # True where there is a hit

    @property
    def num_events(self) -> int:
        return len(self.mask)

    def by_length(self, num_groups: int) -> tuple[list["Sequence"], Int[Tensor, " event"]]:
        """Groups of events of about as many hits, each padded to its own longest: half of the padding is gone.

        What a network says of the groups, one after another, comes back into the order of the events by the index that
        is returned beside them: `torch.cat([net(group) for group in groups])[index]`.
        """
        length = self.mask.sum(1)
        order = length.argsort()
        parts = order.chunk(num_groups)
        longest = length[torch.stack([part[-1] for part in parts])].clamp(min=1).tolist()
        cut = zip(parts, longest, strict=True)
        return [Sequence(self.feature[part, :end], self.mask[part, :end]) for part, end in cut], order.argsort()
