"""The sweep of detector effects asks every network for the same events, and counts its answers."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from cdmtrain.batch import EventBatch
from cdmtrain.classifier import Classifier
from cdmtrain.probe.effects import EFFECTS, Effect, responses
from cdmtrain.report.effects import strength_of_loss

INCREASING = Effect("energy", "MeV", (1.0, 2.0), lambda batch, mev, _: _plus(batch, mev))


def _plus(batch: EventBatch, mev: torch.Tensor) -> EventBatch:
    return replace(batch, energy=batch.energy + mev[batch.event])


class Energy(nn.Module):
    """An electron below 1.5 MeV, a muon above."""

    def forward(self, batch: EventBatch) -> torch.Tensor:
        total = torch.zeros(batch.num_events).index_add_(0, batch.event, batch.energy)
        return torch.stack([1.5 - total, total - 1.5, total - 9, total - 9], 1)


def classifier(model: nn.Module) -> Classifier:
    parts = {"representation": nn.Identity(), "loss": nn.CrossEntropyLoss(), "optimizer": torch.optim.SGD}
    return Classifier(model=model, **parts).eval()


@pytest.fixture
def batches() -> list[EventBatch]:
    """Two batches of two events of one hit each: electrons of 0 and 1 MeV, then muons of the same energies."""

    def batch(truth: int) -> EventBatch:
        two, zero = torch.tensor([truth, truth]), torch.zeros(2, dtype=torch.int64)
        return EventBatch(zero + 5, torch.tensor([0.1, 1.1]), torch.tensor([0, 1, 2]), two, zero, 4)

    return [batch(0), batch(1)]


def test_accuracy_efficiency_and_changed_answers_are_counted_over_all_batches(batches: list[EventBatch]) -> None:
    (found,) = responses([classifier(Energy())], batches, seed=1, effects=[INCREASING])
    assert [(one.strength, one.events, one.accuracy, one.changed) for one in found] == [
        (0.0, 4, 0.5, 0.0),
        (1.0, 4, 0.5, 0.5),
        (2.0, 4, 0.5, 1.0),
    ]
    assert [one.efficiency["electron"] for one in found] == [1.0, 0.5, 0.0]
    assert [one.efficiency["muon"] for one in found] == [0.0, 0.5, 1.0]


def test_every_network_sees_the_same_draws_and_a_seed_repeats_them(make_batch) -> None:
    batches = [make_batch(16, seed=1), make_batch(16, seed=2)]
    first, second = responses([classifier(Energy()), classifier(Energy())], batches, seed=3)
    assert first == second
    assert responses([classifier(Energy())], batches, seed=3)[0] == first
    assert {one.effect for one in first} == {effect.name for effect in EFFECTS}


@pytest.mark.parametrize(
    ("strengths", "accuracies", "expected"),
    [
        ((0, 1, 2), (0.9, 0.9, 0.8), 1.5),
        ((0, 1, 2), (0.9, 0.88, 0.86), None),
        ((-2, -1, 0, 3), (0.5, 0.8, 0.9, 0.7), -0.5),
        ((-2, -1, 0, 1), (0.5, 0.9, 0.9, 0.8), 0.5),
        ((0, 1, 2), (0.9, 0.8, 0.95), 0.5),
    ],
)
def test_the_strength_that_costs_accuracy_is_interpolated(strengths, accuracies, expected) -> None:
    rows = [{"strength": s, "accuracy": a} for s, a in zip(strengths, accuracies, strict=True)]
    assert strength_of_loss(rows, 0.05) == (expected if expected is None else pytest.approx(expected))
