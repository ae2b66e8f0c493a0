"""The learning rate follows the schedule that was chosen, and the optimizer is the fastest allowed."""

import math
from typing import Any

import pytest
from hydra.utils import instantiate
from torch import nn

from tests.classifier.parts import OPTIMIZERS, Batches, Rates, StalledLoss, classifier, composed, trainer

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning"),  # lightning, of torch's trees
    pytest.mark.filterwarnings("ignore:You defined a `validation_step` but have no:UserWarning"),  # we test without
]


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
