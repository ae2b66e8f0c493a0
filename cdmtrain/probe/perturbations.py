"""Changes of events that a network may be sensitive to: one at a time, the same at every call."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from cdmtrain.augmentation.symmetries import transformed
from cdmtrain.batch import EventBatch, Graph, Hits
from cdmtrain.batch import Sequence as HitSequence

SHIFTS_PX = (1, 2, 4, 8, 16)
# bits of `transformed`
SYMMETRIES = {"mirror columns": 1, "mirror rows": 2, "turn by 90 degrees": 5, "turn by 180 degrees": 3}

Changed = tuple[Any, Bool[Tensor, " event"] | None]  # the changed events, and which of them count; None: all


@dataclass(frozen=True)
class Perturbation:
    """One change of events, or of a representation's output."""

    group: str
    name: str
    change: Callable[[Any], Changed]
    takes: tuple[type, ...] = (EventBatch,)  # what it changes: an EventBatch, or the input of some networks


def perturbations(seed: int) -> list[Perturbation]:
    """All perturbations in the order of the table. The seed fixes the permutations."""
    shifts = [Perturbation("shift", f"shift by {n} pixel{'s' * (n > 1)}", partial(shifted, by=n)) for n in SHIFTS_PX]
    symmetries = [Perturbation("symmetry", name, partial(turned, symmetry=bits)) for name, bits in SYMMETRIES.items()]
    permutations = [
        Perturbation("order", "pixels permuted", partial(pixels_permuted, seed=seed)),
        Perturbation("order", "nodes renumbered", partial(nodes_renumbered, seed=seed), (Graph,)),
        Perturbation("order", "hits reordered", partial(hits_reordered, seed=seed), (HitSequence, Hits)),
    ]
    return [*shifts, *symmetries, *permutations]


def shifted(batch: EventBatch, *, by: int) -> Changed:
    """Shift each event by so many pixels, in the first of the directions right, left, down, up that loses no pixel.

    An event that loses a pixel in every direction is not shifted and does not count.
    """
    size, event = batch.image_size, batch.event
    row, column = batch.pixel // size, batch.pixel % size
    steps = torch.tensor([[0, by], [0, -by], [by, 0], [-by, 0]], device=row.device)
    new_row, new_column = row + steps[:, :1], column + steps[:, 1:]
    outside = ((new_row < 0) | (new_row >= size) | (new_column < 0) | (new_column >= size)).int()
    lost = outside.new_zeros(len(steps), batch.num_events).index_add_(1, event, outside)
    fits = lost == 0
    step = steps[fits.int().argmax(0)] * fits.any(0).unsqueeze(1)  # the first that fits, or none
    pixel = batch.pixel + (step[:, 0] * size + step[:, 1])[event]
    return replace(batch, pixel=pixel), fits.any(0)


def turned(batch: EventBatch, *, symmetry: int) -> Changed:
    """Transform each event by one of the eight symmetries of the square."""
    return transformed(batch, torch.full_like(batch.class_index, symmetry)), None


def pixels_permuted(batch: EventBatch, *, seed: int) -> Changed:
    """Permute the pixels of all images in the same way. A dense network could learn such images as well."""
    new_pixel = _permutation(batch.image_size**2, seed).to(batch.pixel.device)
    pixel = new_pixel[batch.pixel]
    order = (batch.event * batch.image_size**2 + pixel).argsort()
    return replace(batch, pixel=pixel[order], energy=batch.energy[order]), None


def nodes_renumbered(graph: Graph, *, seed: int) -> Changed:
    """Renumber the nodes of each event; the graph is the same."""
    order = _shuffled_within(graph.event, seed)
    edges = order.argsort()[graph.edge_index]
    return replace(graph, feature=graph.feature[order], edge_index=edges), None


def hits_reordered(hits: HitSequence | Hits, *, seed: int) -> Changed:
    """Put the hits of each event into another order; padding stays at the end."""
    if isinstance(hits, Hits):
        order = _shuffled_within(hits.event, seed)
        pixel, energy, feature = (part[order] for part in (hits.pixel, hits.energy, hits.feature))
        return replace(hits, pixel=pixel, energy=energy, feature=feature), None
    draw = torch.rand(hits.mask.shape, generator=torch.Generator().manual_seed(seed)).to(hits.mask.device)
    order = draw.masked_fill(~hits.mask, 2).argsort(1)
    return replace(hits, feature=hits.feature.take_along_dim(order.unsqueeze(2), 1)), None


def _permutation(length: int, seed: int) -> Int[Tensor, " length"]:
    return torch.randperm(length, generator=torch.Generator().manual_seed(seed))


def _shuffled_within(event: Int[Tensor, " hit"], seed: int) -> Int[Tensor, " hit"]:
    """A random order of the hits that keeps events together and in order."""
    drawn = _permutation(len(event), seed).to(event.device)
    return drawn[event[drawn].argsort(stable=True)]


def names_of(takes: Sequence[type]) -> str:
    """The types that a perturbation changes, in words."""
    words = {EventBatch: "events", Graph: "graphs", HitSequence: "sequences", Hits: "hits"}
    return " and ".join(words[one] for one in takes)
