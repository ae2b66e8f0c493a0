"""The mean of the weights is what the formula says, is validated and saved, and does not disturb the training."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import lightning
import pytest
import torch
from torch import nn

from cdmtrain.callbacks.checkpoint import RunCheckpoint
from cdmtrain.callbacks.weight_averaging import WeightAveraging
from cdmtrain.errors import InputError
from cdmtrain.model.rnn import RNN

STEPS, EPOCHS, DECAY = 12, 3, 0.9


class Walk(lightning.LightningModule):
    """Weights that go up by one a step; a validation remembers what it saw."""

    def __init__(self) -> None:
        super().__init__()
        self.model = nn.Linear(1, 1, bias=False)
        nn.init.zeros_(self.model.weight)
        self.walked: list[float] = []
        self.seen: list[float] = []

    @property
    def weight(self) -> float:
        return float(self.model.weight.detach())

    def training_step(self, batch: torch.Tensor, batch_index: int) -> torch.Tensor:
        self.walked.append(self.weight)
        return -self.model.weight.sum()

    def validation_step(self, batch: torch.Tensor, batch_index: int) -> None:
        self.seen.append(self.weight)
        self.log("val_loss", -self.weight)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=1.0)


def means(decay: float) -> Iterator[float]:
    """Yield the mean after each step, as the docstring's formula has it."""
    mean = 0.0
    for step in range(1, STEPS * EPOCHS + 1):
        kept = min(decay, (1 + step) / (10 + step))
        mean = kept * mean + (1 - kept) * step
        yield mean


@pytest.fixture
def walked(tmp_path: Path) -> tuple[Walk, Path]:
    """Return a finished training and its checkpoints."""
    module = Walk()
    averaging = WeightAveraging(decay=DECAY)
    callbacks = [RunCheckpoint(monitor="val_loss", mode="min", every_seconds=0), averaging]
    quiet: dict[str, Any] = dict.fromkeys(("logger", "enable_progress_bar", "enable_model_summary"), False)
    data = torch.utils.data.DataLoader(torch.zeros(STEPS, 1))
    trainer = lightning.Trainer(
        accelerator="cpu", max_epochs=EPOCHS, callbacks=callbacks, default_root_dir=tmp_path, **quiet
    )
    trainer.fit(module, data, data)
    return module, tmp_path / "checkpoints"


@pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning")
@pytest.mark.filterwarnings("ignore:The number of training batches")
@pytest.mark.filterwarnings("ignore:The '.*_dataloader' does not have many workers")
def test_training_goes_its_own_way_while_the_mean_is_validated_and_saved_as_best_and_at_the_end(walked):
    module, checkpoints = walked
    assert module.walked == list(range(STEPS * EPOCHS))
    mean = list(means(DECAY))
    assert module.seen[-EPOCHS * STEPS :: STEPS] == pytest.approx(mean[STEPS - 1 :: STEPS])
    for name in ("best", "last"):
        saved = torch.load(checkpoints / f"{name}.ckpt", weights_only=True)
        assert float(saved["state_dict"]["model.weight"]) == pytest.approx(mean[-1])
    assert module.weight == pytest.approx(mean[-1])


def test_a_checkpoint_of_a_validation_leads_back_to_the_training_s_own_weights():
    module, trainer = Walk(), SimpleNamespace(state=SimpleNamespace(fn="fit"), sanity_checking=False)
    averaging, resumed = WeightAveraging(decay=DECAY), WeightAveraging(decay=DECAY)
    averaging.on_train_start(trainer, module)  # type: ignore[arg-type]
    nn.init.ones_(module.model.weight)
    averaging.on_validation_start(trainer, module)  # type: ignore[arg-type]
    assert module.weight == 0
    resumed.load_state_dict(averaging.state_dict())
    resumed.on_train_start(trainer, module)  # type: ignore[arg-type]
    assert module.weight == 1


@pytest.mark.parametrize("decay", [-0.1, 1.0])
def test_a_decay_that_is_none_is_refused(decay):
    with pytest.raises(InputError, match=f"decay={decay}"):
        WeightAveraging(decay=decay)


def test_the_mean_of_a_run_of_an_earlier_version_has_todays_names() -> None:
    def old(name: str) -> str:
        return name.replace("forward_rnn", "forth").replace("backward_rnn", "back")

    network = RNN(cell="gru", hidden=2, layers=1, bidirectional=True)
    mean = {name: torch.full_like(value, 0.5) for name, value in network.state_dict().items()}
    averaging = WeightAveraging(decay=DECAY)
    averaging.load_state_dict(
        {"steps": 3, "mean": {old(name): value for name, value in mean.items()}, "exchanged": False}
    )
    weights = {name: value.clone() for name, value in network.state_dict().items()}
    averaging.on_train_start(SimpleNamespace(), SimpleNamespace(model=network))  # type: ignore[arg-type]
    assert averaging.state_dict()["mean"].keys() == mean.keys()
    assert all(bool((value == 0.5).all()) for value in averaging.state_dict()["mean"].values())
    assert all(torch.equal(value, weights[name]) for name, value in network.state_dict().items())
