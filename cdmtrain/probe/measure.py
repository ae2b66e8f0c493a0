"""How often and how far a network's answer moves under each perturbation."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from cdmtrain.batch import EventBatch
from cdmtrain.probe.perturbations import Perturbation, names_of


@dataclass(frozen=True)
class Movement:
    """What one perturbation does to the answers about the events that count; None where there is nothing to say."""

    group: str
    perturbation: str
    note: str  # why it does not apply; empty where it does
    events: int  # that count
    changed: float | None  # fraction of events that get another particle's name
    total_variation: float | None  # mean over events of sum_c |p_c - p'_c| / 2, from 0 to 1
    accuracy_before: float | None  # of the same events as they are
    accuracy: float | None  # of the perturbed events


@torch.inference_mode()
def movements(
    representation: nn.Module, model: nn.Module, batches: Iterable[EventBatch], perturbations: Sequence[Perturbation]
) -> list[Movement]:
    """Ask a network about events as they are and as each perturbation leaves them.

    Args:
        representation, model: of the network, in evaluation mode.
        batches: labelled events on the network's device.
        perturbations: each changes events, or what the representation makes of them; others do not apply.
    """
    sums: dict[str, Tensor] = defaultdict(lambda: torch.zeros(5, dtype=torch.float64))
    seen_as = ""
    for batch in batches:
        seen = representation(batch)
        seen_as = type(seen).__name__
        before = _probability(model(seen))
        for one in perturbations:
            if EventBatch in one.takes:
                events, counts = one.change(batch)
                changed = representation(events)
            elif isinstance(seen, one.takes):
                changed, counts = one.change(seen)
            else:
                continue
            sums[one.name] += _sums(before, _probability(model(changed)), batch, counts)
    return [_movement(one, sums.get(one.name), seen_as) for one in perturbations]


def _probability(logits: Float[Tensor, "event class"]) -> Float[Tensor, "event class"]:
    return logits.double().softmax(1)


def _sums(
    before: Float[Tensor, "event class"],
    after: Float[Tensor, "event class"],
    batch: EventBatch,
    counts: Bool[Tensor, " event"],
) -> Float[Tensor, " sum"]:
    """Events that count, those whose name changes, their total variation, those right before and after."""
    first, then = before.argmax(1), after.argmax(1)
    variation = (before - after).abs().sum(1) / 2
    columns = [
        torch.ones_like(variation),
        first != then,
        variation,
        first == batch.class_index,
        then == batch.class_index,
    ]
    return torch.stack([column[counts].double().sum() for column in columns]).cpu()


def _movement(one: Perturbation, sums: Tensor | None, seen_as: str) -> Movement:
    if sums is None:
        note = f"the network takes {seen_as}, this is for {names_of(one.takes)}"
        return Movement(one.group, one.name, note, 0, None, None, None, None)
    events, *totals = sums.tolist()
    if not events:
        return Movement(one.group, one.name, "it leaves no event whole", 0, None, None, None, None)
    return Movement(one.group, one.name, "", int(events), *(total / events for total in totals))
