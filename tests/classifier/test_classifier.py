"""Metrics are means over events, learning rates follow their schedule, augmentation is for training alone."""

import functools
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from cdmtrain.batch import EventBatch, Image
from cdmtrain.classifier import Classifier
from cdmtrain.metrics import ClassificationMetrics, scalars
from tests.classifier.parts import (
    SIZE,
    Batches,
    Draws,
    TinyNetwork,
    classifier,
    logits_and_truth,
    trainer,
)

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning"),  # lightning, of torch's trees
    pytest.mark.filterwarnings("ignore:You defined a `validation_step` but have no:UserWarning"),  # we test without
]


def test_train_loss_of_an_epoch_is_the_mean_over_events(uneven):
    net, run = classifier(), trainer()  # at a rate of zero the weights stay
    run.fit(net, uneven)
    expected = nn.functional.cross_entropy(*logits_and_truth(net, uneven))
    of_batches = torch.stack([net.loss(*logits_and_truth(net, Batches(batch))) for batch in uneven]).mean()
    torch.testing.assert_close(run.callback_metrics["train_loss"], expected)  # float32
    assert abs(of_batches - expected) > 1e-2


def test_train_loss_of_an_epoch_forgets_the_one_before(four):
    net = classifier(optimizer=functools.partial(torch.optim.SGD, lr=0.1))
    last = trainer(max_epochs=3)
    last.fit(net, four)
    seen: list[Tensor] = []
    again = classifier(optimizer=functools.partial(torch.optim.SGD, lr=0.1))
    again.loss.register_forward_hook(lambda module, inputs, loss: seen.append(loss.detach()))
    trainer(max_epochs=3).fit(again, four)
    torch.testing.assert_close(last.callback_metrics["train_loss"], torch.stack(seen[-4:]).mean())  # float32


@pytest.mark.parametrize("part", ["val", "test"])
def test_metrics_of_a_split_are_those_of_all_its_events_together(uneven, part):
    net, run = classifier(loss=nn.CrossEntropyLoss(label_smoothing=0.2)), trainer()
    run.fit(net, uneven, uneven) if part == "val" else run.test(net, uneven, verbose=False)
    logits, truth = logits_and_truth(net, uneven)
    together = ClassificationMetrics()
    together.update(logits, truth)
    logged = {name.removeprefix("val_"): float(value) for name, value in run.callback_metrics.items()}
    smoothed = nn.functional.cross_entropy(logits, truth, label_smoothing=0.2)
    if part == "val":
        del logged["train_loss"]
        assert logged.pop("loss") == pytest.approx(smoothed.item(), rel=1e-5)  # float32
    else:  # nobody reads what an evaluation would log
        assert not logged
        logged = scalars(net.results["test"])
    assert logged == pytest.approx(scalars(together.compute()), rel=1e-5, nan_ok=True)
    assert net.results[part]["confusion_matrix"] == together.compute()["confusion_matrix"]
    assert logged["cross_entropy"] == pytest.approx(nn.functional.cross_entropy(logits, truth).item(), rel=1e-5)


def test_metrics_of_a_validation_forget_the_one_before(uneven, four):
    net = classifier(loss=nn.CrossEntropyLoss(label_smoothing=0.2))
    trainer().validate(net, uneven, verbose=False)
    run = trainer()
    run.validate(net, four, verbose=False)
    assert np.sum(net.results["val"]["confusion_matrix"]) == 24
    logits, truth = logits_and_truth(net, four)
    smoothed = nn.functional.cross_entropy(logits, truth, label_smoothing=0.2)
    torch.testing.assert_close(run.callback_metrics["val_loss"], smoothed)


def test_validation_changes_no_weight(uneven):
    net = classifier(optimizer=functools.partial(torch.optim.SGD, lr=0.1))
    before = net.model.linear.weight.clone()
    trainer().validate(net, uneven, verbose=False)
    assert torch.equal(net.model.linear.weight, before)


@pytest.mark.parametrize("weight", [0.0, 0.5, 2.0])
def test_the_weight_of_a_process_scales_its_gradient_and_not_the_logged_loss(make_batch, weight):
    """Under DDP gradients are averaged over processes, whose shares of a batch may differ; 0 is an empty share."""
    net, batch = classifier(), make_batch(6, image_size=SIZE)
    plain = net.training_step(batch, 0)
    net.train_loss.reset()
    torch.testing.assert_close(net.training_step(replace(batch, weight=weight), 0), weight * plain)
    assert net.train_loss.num_events == (6 if weight else 0)
    if weight:
        assert net.train_loss.compute() == pytest.approx(plain.item())


def test_every_process_draws_its_own_augmentation(make_batch, monkeypatch):
    noted = Draws()
    net, batch = classifier(augmentation=noted), make_batch(6, image_size=SIZE)
    for rank in (0, 1):
        monkeypatch.setattr(Classifier, "global_rank", rank)
        net.training_step(batch, 0)
    assert noted.numbers[0] != noted.numbers[1]


def test_logits_are_single_precision_whatever_the_network_computes_in(make_batch):
    class Half(TinyNetwork):
        def forward(self, image: Image) -> Tensor:
            return super().forward(image).bfloat16()

    assert classifier(model=Half())(make_batch(6, image_size=SIZE)).dtype == torch.float32


def test_a_sum_of_losses_that_was_resumed_is_counted_by_the_first_process_alone(make_batch, monkeypatch):
    net = classifier()
    net.training_step(make_batch(6, image_size=SIZE), 0)
    checkpoint: dict[str, Any] = {"state_dict": {}}
    net.on_save_checkpoint(checkpoint)
    for rank, counted in ((0, 6), (1, 0)):
        monkeypatch.setattr(Classifier, "global_rank", rank)
        resumed = classifier()
        resumed.on_load_checkpoint(deepcopy(checkpoint))
        assert resumed.train_loss.num_events == counted


def draws_of(batches: Batches, *, seed: int, epochs: int = 2) -> list[int]:
    noted = Draws()
    trainer(max_epochs=epochs).fit(classifier(augmentation=noted, seed=seed), batches)
    return noted.numbers


def test_augmentation_acts_in_training_only(four):
    noted = Draws()
    net, run = classifier(augmentation=noted), trainer()
    run.fit(net, four, four)
    assert len(noted.numbers) == 4
    run.validate(net, four, verbose=False)
    run.test(net, four, verbose=False)
    run.predict(net, four)
    assert len(noted.numbers) == 4


def test_what_the_augmentation_returns_is_what_the_network_sees(four):
    class Black:
        def __call__(self, batch: EventBatch, generator: torch.Generator) -> EventBatch:
            return EventBatch(**{**vars(batch), "energy": torch.zeros_like(batch.energy)})

    net, run = classifier(augmentation=Black()), trainer()
    run.fit(net, four, four)
    biases, truth = net.model.linear.bias.expand(24, 4), torch.cat([batch.class_index for batch in four])
    torch.testing.assert_close(run.callback_metrics["train_loss"], nn.functional.cross_entropy(biases, truth).detach())
    torch.testing.assert_close(
        run.callback_metrics["val_loss"], nn.functional.cross_entropy(*logits_and_truth(net, four))
    )


def test_augmentation_draws_the_same_for_a_seed_and_something_else_every_step_and_seed(four):
    first = draws_of(four, seed=1)
    torch.manual_seed(99)  # whatever the global state
    assert draws_of(four, seed=1) == first
    assert len(set(first)) == 8
    assert not set(first) & set(draws_of(four, seed=2))


def test_augmentation_of_a_resumed_training_draws_what_an_unbroken_one_does(four, tmp_path: Path):
    checkpoint, broken, resumed = tmp_path / "last.ckpt", Draws(), Draws()
    run = trainer(max_epochs=1)
    run.fit(classifier(augmentation=broken, seed=1), four)
    run.save_checkpoint(checkpoint)
    net = classifier(augmentation=resumed, seed=1)
    trainer(max_epochs=2).fit(net, four, ckpt_path=checkpoint, weights_only=True)
    assert broken.numbers + resumed.numbers == draws_of(four, seed=1)
