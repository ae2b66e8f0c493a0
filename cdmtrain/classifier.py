"""The LightningModule: one step for training, validation and test; it knows no architecture."""

from collections.abc import Callable, Mapping
from typing import Any, Literal, cast

import lightning
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torchmetrics import MeanMetric

from cdmtrain.batch import EventBatch
from cdmtrain.metrics import ClassificationMetrics, scalars

Part = Literal["val", "test"]
Augmentation = Callable[[EventBatch, torch.Generator], EventBatch]


class Classifier(lightning.LightningModule):
    """Trains a network on batches of events: augmentation -> representation -> model -> loss.

    Args:
        model: maps what the representation gives to logits.
        representation: maps an EventBatch to an Image, Graph or Sequence, on the device.
        loss: of logits and class indices, averaged over events.
        optimizer: makes an optimizer of parameters.
        scheduler: None, or {interval, scheduler, num_steps_argument, monitor}; `scheduler` makes one of an optimizer,
            and `num_steps_argument` is what that class calls the number of steps of the whole training.
        augmentation: changes a training batch with the generator it is given, or None.
        seed: of the augmentation; with the batch's place it fixes every draw, so a resumed run draws the same.
    """

    def __init__(
        self,
        *,
        model: nn.Module,
        representation: nn.Module,
        loss: nn.Module,
        optimizer: Callable[..., torch.optim.Optimizer],
        scheduler: Mapping[str, Any] | None = None,
        augmentation: Augmentation | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.model = model
        self.representation = representation
        self.loss = loss
        self.train_loss = MeanMetric()
        self.train_loss.persistent(True)  # in checkpoints: an epoch's mean survives a resume in its middle
        self.figures = nn.ModuleDict({part: ClassificationMetrics() for part in ("val", "test")})
        self.losses = nn.ModuleDict({part: MeanMetric() for part in ("val", "test")})
        self._make_optimizer = optimizer
        self._scheduler = scheduler
        self._augmentation = augmentation
        self._seed = seed
        self.results: dict[str, dict[str, Any]] = {}  # the figures of each part, as last computed

    def __setattr__(self, name: str, value: Any) -> None:
        """As a module's, but quick for the hook's name, which Lightning notes 48 times in every step."""
        if name == "_current_fx_name":
            self.__dict__[name] = value
        else:
            super().__setattr__(name, value)

    def forward(self, batch: EventBatch) -> Float[Tensor, "event class"]:
        return self.model(self.representation(batch)).float()  # whatever the precision of the network

    def training_step(self, batch: EventBatch, batch_index: int) -> Float[Tensor, ""]:
        if self._augmentation is not None:
            batch = self._augmentation(batch, self._generator(batch_index))
        loss = self.loss(self(batch), batch.class_index)
        self.train_loss.update(loss.detach(), batch.num_events if batch.weight else 0)
        return loss * batch.weight

    def validation_step(self, batch: EventBatch, batch_index: int) -> Float[Tensor, "event class"]:
        return self._evaluate(batch, "val")

    def test_step(self, batch: EventBatch, batch_index: int) -> Float[Tensor, "event class"]:
        return self._evaluate(batch, "test")

    def on_train_epoch_end(self) -> None:
        self.log("train_loss", self.train_loss.compute(), sync_dist=True)
        self.train_loss.reset()

    def on_validation_epoch_end(self) -> None:
        self._log_figures("val")

    def on_test_epoch_end(self) -> None:
        self._log_figures("test")

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        with self.train_loss.sync_context():  # of all processes
            checkpoint["state_dict"] |= self.train_loss.state_dict(prefix="train_loss.")

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        if self.global_rank:  # what all have summed goes on in the first
            sums = self.train_loss.state_dict(prefix="train_loss.")
            checkpoint["state_dict"] |= {name: torch.zeros_like(value) for name, value in sums.items()}

    def configure_optimizers(self) -> Any:
        optimizer = self._make_optimizer(self.parameters())
        if not self._scheduler:
            return optimizer
        settings = dict(self._scheduler)
        make, argument = settings.pop("scheduler"), settings.pop("num_steps_argument")
        steps = {argument: int(self.trainer.estimated_stepping_batches)} if argument else {}
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": make(optimizer, **steps), **settings}}

    def _evaluate(self, batch: EventBatch, part: Part) -> Float[Tensor, "event class"]:
        logits = self(batch)
        figures, loss = self._metrics(part)
        loss.update(self.loss(logits, batch.class_index), batch.num_events)
        figures.update(logits, batch.class_index)
        return logits

    def _log_figures(self, part: Part) -> None:
        figures, loss = self._metrics(part)
        self.results[part] = figures.compute()
        self.log(f"{part}_loss", loss.compute(), sync_dist=True)
        self.log_dict({f"{part}_{name}": value for name, value in scalars(self.results[part]).items()}, sync_dist=True)
        figures.reset()
        loss.reset()

    def _metrics(self, part: Part) -> tuple[ClassificationMetrics, MeanMetric]:
        return cast(ClassificationMetrics, self.figures[part]), cast(MeanMetric, self.losses[part])

    def _generator(self, batch_index: int) -> torch.Generator:
        place = (self._seed, self.current_epoch, batch_index, self.global_rank)
        return torch.Generator(self.device).manual_seed(int(np.random.SeedSequence(place).generate_state(1)[0]))
