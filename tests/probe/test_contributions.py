"""The contributions of lit pixels are the derivatives that they are said to be, and add up to the score."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_module
from hydra.utils import instantiate
from torch import nn

from cdmtrain.batch import EventBatch
from cdmtrain.config.sources import groups
from cdmtrain.errors import InputError
from cdmtrain.probe.contributions import contributions, most_probable, scaled_threshold, score
from cdmtrain.representation.image import ImageRepresentation
from tests.test_models import NARROWER

MODELS = [option.name for option in groups()["model"] if option.name != "module"]  # which wraps any network
SIZE = 67  # the smallest that AlexNet takes


def network(name: str, *overrides: str, size: int = SIZE) -> tuple[nn.Module, nn.Module]:
    with initialize_config_module("cdmtrain.conf", version_base="1.3"):
        words = [f"model={name}", *NARROWER.get(name, []), "data=hdf5", "data.files=[x]", f"data.image_size={size}"]
        cfg = compose("config", overrides=[*words, *overrides])
    torch.manual_seed(1)
    return instantiate(cfg.representation), instantiate(cfg.model).double().eval()


def scores(parts: tuple[nn.Module, nn.Module], batch: EventBatch, classes: torch.Tensor, scale: float) -> torch.Tensor:
    with torch.no_grad(), scaled_threshold(parts[0], scale):
        return score(parts[1](parts[0](replace(batch, energy=scale * batch.energy))), classes)


@pytest.fixture
def events(make_batch: Callable[..., EventBatch]) -> EventBatch:
    """Events in double precision, one of them empty and one with a single pixel."""
    batch = make_batch(4, image_size=SIZE, empty=[1])
    keep = torch.ones(len(batch.pixel), dtype=torch.bool)
    keep[int(batch.offset[2]) + 1 : int(batch.offset[3])] = False
    batch = batch.mask_hits(keep)
    return replace(batch, energy=batch.energy.double())


@pytest.mark.parametrize("name", MODELS)
def test_a_gradient_of_every_model_is_how_the_score_changes_with_the_energies(name: str, events: EventBatch) -> None:
    parts = network(name)
    classes = most_probable(*parts, events)
    found = contributions(*parts, events, method="gradient", class_index=classes)
    assert found.isfinite().all()
    assert (found != 0).any()
    step = 1e-4  # of the energies, all at once: the sum of the contributions of an event is the derivative
    with_threshold = [scores(parts, events, classes, 1 + sign * step) for sign in (1, -1)]
    slope = (with_threshold[0] - with_threshold[1]) / (2 * step)
    total = torch.zeros(4, dtype=torch.float64).index_add_(0, events.event, found)
    torch.testing.assert_close(total, slope, rtol=5e-3, atol=1e-5)


def check_sums(name: str, events: EventBatch, *overrides: str, steps: int, tolerance: float) -> None:
    """Compare the sum of the contributions of each event with the change of its score along the path."""
    parts = network(name, *overrides)
    found, classes = contributions(*parts, events, steps=steps), most_probable(*parts, events)
    change = scores(parts, events, classes, 1.0) - scores(parts, events, classes, 1e-9)
    total = torch.zeros(4, dtype=torch.float64).index_add_(0, events.event, found)
    torch.testing.assert_close(total, change, rtol=0, atol=tolerance * float(change.abs().max()))


@pytest.mark.parametrize("name", MODELS)
def test_integrated_gradients_of_every_model_add_up_to_the_score_but_for_its_kinks(name: str, events) -> None:
    check_sums(name, events, steps=96 if name == "edgeconv" else 32, tolerance=0.3)


@pytest.mark.parametrize("name", ["dnn", "cnn"])
@pytest.mark.parametrize("scale", ["linear", "log", "sqrt"])
def test_integrated_gradients_of_a_smooth_network_add_up_to_the_score(name: str, scale: str, events) -> None:
    check_sums(name, events, "model.activation=gelu", f"representation/scale={scale}", steps=24, tolerance=3e-3)


class Linear(nn.Module):
    """Logits w_k . x of images of four pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([[1.0, 2, 0, -1], [0, 0, 0, 0]]))

    def forward(self, image) -> torch.Tensor:
        return image.energy.flatten(1) @ self.weight.T


def test_the_contributions_of_a_linear_score_are_weight_times_energy() -> None:
    zero = torch.zeros(1, dtype=torch.int64)
    batch = EventBatch(torch.tensor([0, 1, 3]), torch.tensor([3.0, 1, 2]), torch.tensor([0, 3]), zero, zero, 2)
    parts = (ImageRepresentation(), Linear())
    for method in ("gradient", "integrated_gradients"):
        torch.testing.assert_close(contributions(*parts, batch, method=method), torch.tensor([3.0, 2, -2]))
        against = contributions(*parts, batch, method=method, class_index=zero + 1)
        torch.testing.assert_close(against, torch.tensor([-3.0, -2, 2]))
    assert parts[1].weight.grad is None


def test_another_method_is_refused_in_one_sentence(events: EventBatch) -> None:
    with pytest.raises(InputError, match=r"^method=lime: integrated_gradients or gradient is expected$"):
        contributions(*network("perceptron"), events, method="lime")


def trained_cnn(batch: EventBatch) -> tuple[nn.Module, nn.Module]:
    """A small network that has learned some events."""
    representation, model = network("cnn", "model.channels=[8,8]", "representation/scale=log", size=batch.image_size)
    model.train()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(60):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(representation(batch)), batch.class_index).backward()
        optimizer.step()
    return representation, model.eval()


def test_removing_the_pixels_named_first_lowers_the_score_faster_than_removing_random_ones(make_batch) -> None:
    batch = make_batch(64, image_size=16)
    batch = replace(batch, energy=batch.energy.double())
    parts = trained_cnn(batch)
    classes, found = most_probable(*parts, batch), contributions(*parts, batch)
    drawn = torch.rand(found.shape, generator=torch.Generator().manual_seed(1), dtype=found.dtype)

    def after_removal(value: torch.Tensor) -> float:
        """The mean score when the fifth of the pixels with the largest values is removed from each event."""
        order = torch.argsort(batch.event * 1e6 - value, stable=True)
        rank = torch.empty_like(order)
        rank[order] = torch.arange(len(order)) - batch.offset[batch.event]
        left = batch.mask_hits(rank >= 0.2 * batch.num_hits[batch.event])
        return float(scores(parts, left, classes, 1.0).mean())

    before = float(scores(parts, batch, classes, 1.0).mean())
    assert before - after_removal(found) > 2 * (before - after_removal(drawn))
    assert np.isfinite(before)
