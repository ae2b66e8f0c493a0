"""How often and how much a network's predictions change under each perturbation."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from cdmtrain.batch import EventBatch
from cdmtrain.probe.perturbations import Perturbation, names_of


@dataclass(frozen=True)
class Sensitivity:
    """How one perturbation changes the predictions for the events that count; None if it does not apply."""

    group: str
    perturbation: str
    note: str  # why it does not apply; empty if it does
    events: int  # number that count
    changed: float | None  # fraction of events that are classified as another particle
    total_variation: float | None  # mean over events of sum_c |p_c - p'_c| / 2, from 0 to 1
    accuracy_before: float | None  # of the same events, unchanged
    accuracy: float | None  # of the perturbed events


@torch.inference_mode()
def sensitivities(
    representation: nn.Module, model: nn.Module, batches: Iterable[EventBatch], perturbations: Sequence[Perturbation]
) -> list[Sensitivity]:
    """Compare a network's predictions for unchanged and for perturbed events.

    Args:
        representation, model: the parts of the network, in evaluation mode.
        batches: events with known classes, on the device of the network.
        perturbations: those that change neither events nor what the network takes do not apply.
    """
    sums: dict[str, Tensor] = defaultdict(lambda: torch.zeros(5, dtype=torch.float64))
    takes = ""
    for batch in batches:
        inputs = representation(batch)
        takes = type(inputs).__name__
        before = _probability(model(inputs))
        for one in perturbations:
            if EventBatch in one.takes:
                events, counts = one.change(batch)
                changed = representation(events)
            elif isinstance(inputs, one.takes):
                changed, counts = one.change(inputs)
            else:
                continue
            sums[one.name] += _sums(before, _probability(model(changed)), batch, counts)
    return [_sensitivity(one, sums.get(one.name), takes) for one in perturbations]


def _probability(logits: Float[Tensor, "event class"]) -> Float[Tensor, "event class"]:
    return logits.double().softmax(1)


def _sums(
    before: Float[Tensor, "event class"],
    after: Float[Tensor, "event class"],
    batch: EventBatch,
    counts: Bool[Tensor, " event"] | None,
) -> Float[Tensor, " sum"]:
    """Sums over the events that count: one, class changed, total variation, correct before, correct after."""
    class_before, class_after = before.argmax(1), after.argmax(1)
    variation = (before - after).abs().sum(1) / 2
    columns = [
        torch.ones_like(variation),
        class_before != class_after,
        variation,
        class_before == batch.class_index,
        class_after == batch.class_index,
    ]
    rows = slice(None) if counts is None else counts
    return torch.stack([column[rows].double().sum() for column in columns]).cpu()


def _sensitivity(one: Perturbation, sums: Tensor | None, takes: str) -> Sensitivity:
    if sums is None:
        note = f"the network takes {takes}, this is for {names_of(one.takes)}"
        return Sensitivity(one.group, one.name, note, 0, None, None, None, None)
    events, *totals = sums.tolist()
    if not events:
        return Sensitivity(one.group, one.name, "every event loses a pixel", 0, None, None, None, None)
    return Sensitivity(one.group, one.name, "", int(events), *(total / events for total in totals))
