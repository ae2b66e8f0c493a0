"""What objectives ask, and that networks learn to answer."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from cdmtrain.augmentation.chain import Chain
from cdmtrain.augmentation.shifts import Shifts
from cdmtrain.augmentation.symmetries import Symmetries
from cdmtrain.batch import EventBatch
from cdmtrain.errors import InputError
from cdmtrain.pretraining.features import features_of_hits
from cdmtrain.pretraining.patches import hide_patches
from tests.pretraining.parts import NETWORKS, contrastive, generator, masked, pretraining

MakeBatch = Callable[..., EventBatch]
VIEWS = Chain([Symmetries(), Shifts(max_pixels=2)])
each_network = pytest.mark.parametrize("network", NETWORKS)
each = pytest.mark.parametrize(
    ("network", "objective"), [(network, objective) for network in NETWORKS for objective in (masked, contrastive)]
)


def moved(batch: EventBatch, hit: torch.Tensor) -> EventBatch:
    """Other energies in some hits."""
    return replace(batch, energy=torch.where(hit, batch.energy * 7 + 1, batch.energy))


@each_network
def test_nothing_of_the_hidden_pixels_reaches_the_network(make_batch: MakeBatch, network: str) -> None:
    batch = make_batch(6, empty=[1])
    learner = pretraining(network, masked, batch).eval()
    seen: list[EventBatch] = []
    encode = learner.encode

    def look(visible: EventBatch) -> torch.Tensor:
        seen.append(visible)
        return encode(visible)

    patches = hide_patches(batch, 4, 0.5, generator())
    for events in (batch, moved(batch, patches.hides)):
        learner.objective(look, events, generator(), None)
    without = batch.mask_hits(~patches.hides)
    assert 0 < len(without.pixel) < len(batch.pixel)
    for visible in seen:
        assert torch.equal(visible.pixel, without.pixel)
        assert torch.equal(encode(visible), encode(without))
    assert not torch.equal(encode(moved(without, torch.ones_like(without.pixel) > 0)), encode(without))


@each_network
def test_features_of_a_hit_are_those_of_its_event_alone_in_the_order_of_the_hits(
    make_batch: MakeBatch, network: str
) -> None:
    batch = make_batch(5, empty=[2])
    learner = pretraining(network, masked, batch).eval()
    together = learner.encode(batch)
    alone = [learner.encode(batch.mask_hits(batch.event == event)) for event in range(5)]
    torch.testing.assert_close(together, torch.cat(alone), rtol=1e-4, atol=1e-5)
    last = batch.mask_hits(torch.arange(len(batch.pixel)) >= len(batch.pixel) - 1)
    hit = moved(batch, torch.arange(len(batch.pixel)) == len(batch.pixel) - 1)
    assert len(learner.encode(last)) == 1
    difference = (learner.encode(hit) - together).abs().sum(1)
    assert int(difference.argmax()) == len(batch.pixel) - 1  # the hit that was changed moved most


@each
def test_an_objective_falls_and_its_gradients_reach_all_that_is_trained(
    make_batch: MakeBatch, network: str, objective: Callable[..., Any]
) -> None:
    batch = make_batch(24)
    learner = pretraining(network, objective, batch, augmentation=None if objective is masked else VIEWS)
    learner.leave_alone(batch)
    trained = {name: one for name, one in learner.named_parameters() if one.requires_grad}
    assert learner.untrained <= {name for name, _ in learner.named_parameters()} | {
        name for name, _ in learner.named_buffers()
    }
    optimizer = torch.optim.Adam(trained.values(), lr=0.01)
    values = []
    for _ in range(30):
        loss = learner.losses(batch, generator())["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        values.append(float(loss.detach()))
        assert [name for name, one in trained.items() if one.grad is None] == []
    assert values[-1] < 0.8 * values[0]


@each
def test_what_an_objective_does_not_train_is_the_last_layers(
    make_batch: MakeBatch, network: str, objective: Callable[..., Any]
) -> None:
    batch = make_batch(8)
    learner = pretraining(network, objective, batch, augmentation=VIEWS)
    learner.leave_alone(batch)
    last = {"sparse_resnet": "model.head.", "transformer": "model.linear."}[network]
    assert learner.untrained
    others = {name for name in learner.untrained if not name.startswith(last)}
    assert others <= {"model.whole_event"}


@each
def test_events_of_one_pixel_or_none_have_a_finite_loss(
    make_batch: MakeBatch, network: str, objective: Callable[..., Any]
) -> None:
    batch = make_batch(4)
    learner = pretraining(network, objective, batch, augmentation=VIEWS)
    first = torch.zeros(len(batch.pixel), dtype=torch.bool)
    first[0] = True
    for events in (batch.mask_hits(first), make_batch(3, empty=[0, 1, 2]), make_batch(1)):
        loss = learner.losses(events, generator())["loss"]
        loss.backward()
        assert loss.isfinite()
        assert all(one.grad.isfinite().all() for one in learner.parameters() if one.grad is not None)


def test_labels_do_not_reach_an_objective(make_batch: MakeBatch) -> None:
    batch, seen = make_batch(5), []
    learner = pretraining("sparse_resnet", masked, batch, augmentation=lambda events, _: seen.append(events) or events)
    learner.losses(batch, generator())
    assert [events.class_index.tolist() for events in seen] == [[-1] * 5]


def test_the_losses_are_their_formulas(make_batch: MakeBatch) -> None:
    batch = make_batch(6)
    learner = pretraining("sparse_resnet", masked, batch).eval()
    found = learner.losses(batch, generator(3))
    patches = hide_patches(batch, 4, 0.5, generator(3))
    asked = patches.asked()
    with torch.no_grad():
        lit, energy = learner.objective.predict(learner.encode, batch, patches, asked)
    entropy = squares = 0.0
    image = batch.image(batch.energy)[:, 0]
    for patch, logits, logarithms in zip(asked.tolist(), lit, energy, strict=True):
        event, row, column = patch // 16, patch // 4 % 4, patch % 4
        true = image[event, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4].flatten()
        p = logits.sigmoid()
        entropy -= float(torch.where(true > 0, p, 1 - p).log().sum())
        squares += float((logarithms - (1 + true / 0.1).log())[true > 0].square().sum())
    number = int(patches.hides.sum())
    assert float(found["occupancy_loss"]) == pytest.approx(entropy / number, rel=1e-4)
    assert float(found["energy_loss"]) == pytest.approx(squares / number, rel=1e-4)
    assert float(found["loss"].detach()) == pytest.approx((entropy + squares) / number, rel=1e-4)


def test_both_views_are_of_the_same_events(make_batch: MakeBatch) -> None:
    batch, views = make_batch(6), []
    learner = pretraining("sparse_resnet", contrastive, batch)
    encode = learner.encode
    learner.objective(lambda one: views.append(one) or encode(one), batch, generator(), Symmetries())
    one, other = views
    assert not torch.equal(one.pixel, other.pixel)
    for event in range(6):
        first, second = (view.energy[view.event == event].sort().values for view in views)
        assert torch.equal(first, second)
        assert torch.equal(first, batch.energy[batch.event == event].sort().values)


def test_two_equal_views_leave_variance_and_covariance(make_batch: MakeBatch) -> None:
    batch = make_batch(9)
    learner = pretraining("sparse_resnet", contrastive, batch).eval()
    found = learner.objective(learner.encode, batch, generator(), lambda events, _: events)
    z = learner.objective.projector(learner.encode(batch)).detach().numpy().astype(float)
    covariance = np.cov(z.T)
    spread = np.sqrt(covariance.diagonal() + 1e-4)
    different = covariance - np.diag(covariance.diagonal())
    assert float(found["invariance_loss"]) == 0
    assert float(found["variance_loss"]) == pytest.approx(2 * np.maximum(0, 1 - spread).mean(), rel=1e-4)
    assert float(found["covariance_loss"]) == pytest.approx(2 * (different**2).sum() / z.shape[1], rel=1e-4)


def test_two_views_without_an_augmentation_are_refused(make_batch: MakeBatch) -> None:
    batch = make_batch(3)
    learner = pretraining("sparse_resnet", contrastive, batch)
    with pytest.raises(InputError, match="augmentation=none makes them the same"):
        learner.losses(batch, generator())


def test_a_network_without_features_of_hits_is_refused(make_batch: MakeBatch) -> None:
    class Nothing(torch.nn.Module):
        def embed(self, inputs: object) -> object:
            return inputs

    with pytest.raises(InputError, match=r"Nothing cannot be trained .* objective=contrastive needs embed alone"):
        features_of_hits(torch.nn.Identity(), Nothing(), make_batch(2))


def test_features_of_another_number_of_hits_are_refused(make_batch: MakeBatch) -> None:
    class Short(torch.nn.Module):
        def hit_features(self, batch: EventBatch) -> torch.Tensor:
            return torch.zeros(3, 2)

    with pytest.raises(InputError, match=r"Short.hit_features returned \(3, 2\); \d+ rows of features are expected"):
        features_of_hits(torch.nn.Identity(), Short(), make_batch(2))


@pytest.mark.parametrize(
    ("objective", "setting", "sentence"),
    [
        (masked, {"patch": 0}, "objective.patch=0: at least 1 pixel is expected"),
        (masked, {"share": 1.0}, "objective.share=1.0: a number between 0 and 1 is expected"),
        (masked, {"energy_weight": -1.0}, "objective.energy_weight=-1.0: a number from 0 on is expected"),
        (contrastive, {"variance": -1.0}, "objective.variance=-1.0: a number from 0 on is expected"),
    ],
)
def test_a_setting_that_means_nothing_is_refused(
    objective: Callable[..., Any], setting: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(InputError, match=sentence):
        objective(3, **setting)
