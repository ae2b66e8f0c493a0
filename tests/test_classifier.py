"""Metrics are means over events, learning rates follow their schedule, augmentation is for training alone."""

import functools
import math
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_module
from hydra.utils import instantiate
from lightning.pytorch.callbacks import Callback
from omegaconf import DictConfig
from torch import Tensor, nn

from cdmtrain.batch import EventBatch, Image
from cdmtrain.classifier import Classifier
from cdmtrain.metrics import ClassificationMetrics, scalars
from cdmtrain.representation.image import ImageRepresentation

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning"),  # lightning, of torch's trees
    pytest.mark.filterwarnings("ignore:You defined a `validation_step` but have no:UserWarning"),  # we test without
]

SIZE = 8
OPTIMIZERS = ["adam", "adamw", "sgd"]


class Batches:
    """A loader of given batches; a bare list would be a list of loaders to Lightning."""

    def __init__(self, *batches: EventBatch) -> None:
        self.batches = batches

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[EventBatch]:
        return iter(self.batches)


class TinyNetwork(nn.Module):
    """One linear layer on an 8 x 8 image."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(SIZE**2, 4)

    def forward(self, image: Image) -> Tensor:
        return self.linear(image.energy.flatten(1))


class StalledLoss(nn.Module):
    """Is one, whatever the logits, so that no training makes it fall."""

    def forward(self, logits: Tensor, class_index: Tensor) -> Tensor:
        return 1 + 0 * logits.sum()


class Rates(Callback):
    """Notes the learning rate with which each step is made."""

    def __init__(self) -> None:
        self.steps: list[float] = []

    def on_before_optimizer_step(self, trainer: lightning.Trainer, module: Any, optimizer: Any) -> None:
        self.steps.append(optimizer.param_groups[0]["lr"])


class Draws:
    """An augmentation that changes nothing and notes what its generator gives."""

    def __init__(self) -> None:
        self.numbers: list[int] = []

    def __call__(self, batch: EventBatch, generator: torch.Generator) -> EventBatch:
        self.numbers.append(int(torch.randint(2**31, (), generator=generator)))
        return batch


@functools.cache
def composed(*overrides: str) -> DictConfig:
    with initialize_config_module("cdmtrain.conf", version_base="1.3"):
        return compose("config", overrides=list(overrides))


def classifier(*, optimizer: Any = None, **settings: Any) -> Classifier:
    torch.manual_seed(1)
    parts = {
        "model": TinyNetwork(),
        "representation": ImageRepresentation(),
        "loss": nn.CrossEntropyLoss(),
        "optimizer": optimizer or functools.partial(torch.optim.SGD, lr=0.0),
    }
    return Classifier(**{**parts, **settings})


def trainer(*callbacks: Callback, max_epochs: int = 1, **settings: Any) -> lightning.Trainer:
    silent = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    return lightning.Trainer(
        accelerator="cpu",
        callbacks=list(callbacks),
        max_epochs=max_epochs,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        **silent,
        **settings,
    )


@pytest.fixture
def uneven(make_batch: Callable[..., EventBatch]) -> Batches:
    """Batches of 7, 4 and 1 events."""
    return Batches(*(make_batch(num_events, image_size=SIZE, seed=num_events) for num_events in (7, 4, 1)))


@pytest.fixture
def four(make_batch: Callable[..., EventBatch]) -> Batches:
    """Four batches of 6 events."""
    return Batches(*(make_batch(6, image_size=SIZE, seed=seed) for seed in range(4)))


@pytest.fixture
def one(make_batch: Callable[..., EventBatch]) -> Batches:
    """One batch of 6 events."""
    return Batches(make_batch(6, image_size=SIZE))


def logits_and_truth(net: Classifier, batches: Batches) -> tuple[Tensor, Tensor]:
    with torch.no_grad():
        return torch.cat([net(batch) for batch in batches]), torch.cat([batch.class_index for batch in batches])


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
    run.validate(net, uneven, verbose=False) if part == "val" else run.test(net, uneven, verbose=False)
    logits, truth = logits_and_truth(net, uneven)
    together = ClassificationMetrics()
    together.update(logits, truth)
    logged = {name.removeprefix(f"{part}_"): float(value) for name, value in run.callback_metrics.items()}
    smoothed = nn.functional.cross_entropy(logits, truth, label_smoothing=0.2)
    assert logged.pop("loss") == pytest.approx(smoothed.item(), rel=1e-5)  # float32
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


def rates_of(words: tuple[str, ...], batches: Batches, *, epochs: int, loss: nn.Module | None = None, **settings: Any):
    """Return the learning rates of all steps, and the one that is left at the end, of a fit as the yaml files say."""
    cfg, noted = composed(*words), Rates()
    parts = {"optimizer": instantiate(cfg.optimizer), "scheduler": instantiate(cfg.scheduler)}
    run = trainer(noted, max_epochs=epochs, **settings)
    run.fit(classifier(loss=loss or nn.CrossEntropyLoss(), **parts), batches, batches)
    return noted.steps, run.optimizers[0].param_groups[0]["lr"]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_without_a_scheduler_the_rate_stays(four, optimizer):
    rates, left = rates_of((f"optimizer={optimizer}", "optimizer.lr=0.02"), four, epochs=2)
    assert [*rates, left] == [0.02] * 9


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("accumulated", [1, 2])
def test_cosine_falls_from_the_optimizers_rate_to_eta_min_at_the_last_step(four, optimizer, accumulated):
    words = (f"optimizer={optimizer}", "optimizer.lr=0.02", "scheduler=cosine", "scheduler.scheduler.eta_min=0.002")
    rates, left = rates_of(words, four, epochs=3, accumulate_grad_batches=accumulated)
    num_steps = 12 // accumulated
    cosine = [0.002 + 0.018 * (1 + math.cos(math.pi * step / num_steps)) / 2 for step in range(num_steps + 1)]
    assert [*rates, left] == pytest.approx(cosine)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_onecycle_rises_to_the_optimizers_rate_and_falls_to_nothing(four, optimizer):
    rates, _ = rates_of((f"optimizer={optimizer}", "optimizer.lr=0.02", "scheduler=onecycle"), four, epochs=5)
    peak = rates.index(max(rates))
    assert len(rates) == 20
    assert peak == 0.3 * 20 - 1
    assert rates[peak] == pytest.approx(0.02)
    assert rates[: peak + 1] == sorted(rates[: peak + 1])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
    assert rates[0] == pytest.approx(0.02 / 25)  # torch's div_factor
    assert rates[-1] == pytest.approx(0.02 / 25 / 1e4)  # and final_div_factor


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_plateau_lowers_the_rate_when_the_validation_loss_stalls(one, optimizer):
    words = (f"optimizer={optimizer}", "optimizer.lr=0.02", "scheduler=plateau")
    rates, left = rates_of(words, one, epochs=8, loss=StalledLoss())
    # the first epoch is the best; after two of patience the third without progress lowers the rate
    assert [*rates, left] == pytest.approx([0.02] * 4 + [0.006] * 3 + [0.0018] * 2)


def test_plateau_leaves_the_rate_while_the_validation_loss_falls(one):
    rates, left = rates_of(("optimizer=sgd", "optimizer.lr=0.001", "scheduler=plateau"), one, epochs=6)
    assert [*rates, left] == [0.001] * 7


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize(
    ("precision", "clip", "fused"), [("32-true", 1.0, True), ("bf16-mixed", None, True), ("bf16-mixed", 1.0, False)]
)
def test_an_optimizer_is_fused_wherever_lightning_allows_it(one, optimizer, precision, clip, fused):
    made = instantiate(composed(f"optimizer={optimizer}").optimizer)
    run = trainer(precision=precision, gradient_clip_val=clip)
    run.fit(classifier(optimizer=made), one)
    assert run.optimizers[0].param_groups[0]["fused"] is fused


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
