"""Sum energies pixel by pixel."""

from dataclasses import replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from cdmtrain.batch import EventBatch


def sum_by_pixel(batch: EventBatch, place: Int[Tensor, " deposit"], energy: Float[Tensor, " deposit"]) -> EventBatch:
    """Return the events of a batch with other hits: one for each pixel with a deposit, with the sum of its energies.

    Args:
        batch: the events.
        place: event * image_size^2 + pixel of each deposit, in any order.
        energy: of each deposit, MeV.
    """
    place, order = place.sort(stable=True)  # so that sums are the same at every call
    unique, count = place.unique_consecutive(return_counts=True)
    total = torch.segment_reduce(energy[order], "sum", lengths=count, unsafe=True)
    num_pixels = batch.image_size**2
    first = torch.arange(batch.num_events + 1, device=place.device) * num_pixels
    return replace(batch, pixel=unique % num_pixels, energy=total, offset=torch.searchsorted(unique, first))


def places(batch: EventBatch) -> Int[Tensor, " hit"]:
    """Return event * image_size^2 + pixel of each hit."""
    return batch.pixel.add(batch.event, alpha=batch.image_size**2)
