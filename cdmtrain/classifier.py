"""The LightningModule that trains, validates and tests any network."""

from collections.abc import Sequence
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from cdmtrain.batch import EventBatch
from cdmtrain.learner import Learner
from cdmtrain.metrics import ClassificationMetrics, RunningMean, scalars
from cdmtrain.particles import DEFAULT, Classes, Pair

Split = Literal["val", "test"]


class Classifier(Learner):
    """Trains a network to tell particles apart: augmentation -> representation -> model -> loss.

    Args:
        loss: maps logits and class indices to the mean loss of the events.
        classes: what the network tells apart.
        pairs: of classes whose ROC area is a metric; None for the usual one (`cdmtrain.particles.read_pairs`).
        settings: the arguments of Learner; its model maps the output of the representation to logits.

    Shapes: EventBatch of B events -> logits (B, classes), float32 whatever the precision of the network.
    """

    def __init__(
        self, *, loss: nn.Module, classes: Classes = DEFAULT, pairs: Sequence[Pair] | None = None, **settings: Any
    ) -> None:
        super().__init__(**settings)
        self.loss = loss
        self.metrics: dict[Split, ClassificationMetrics] = {
            "val": ClassificationMetrics(classes, pairs),
            "test": ClassificationMetrics(classes, pairs),
        }
        self.val_loss = RunningMean()

    def forward(self, batch: EventBatch) -> Float[Tensor, "event class"]:
        return self.model(self.representation(batch)).float()

    def training_step(self, batch: EventBatch, batch_index: int) -> Float[Tensor, ""]:
        if self.augmentation is not None:
            batch = self.augmentation(batch, self._generator(batch_index))
        loss = self.loss(self(batch), batch.class_index)
        self.train_loss.update(loss, batch.num_events if batch.weight else 0)
        return loss * batch.weight

    def validation_step(self, batch: EventBatch, batch_index: int) -> Float[Tensor, "event class"]:
        logits = self(batch)
        self.val_loss.update(self.loss(logits, batch.class_index), batch.num_events)
        self.metrics["val"].update(logits, batch.class_index)
        return logits

    def test_step(self, batch: EventBatch, batch_index: int) -> Float[Tensor, "event class"]:
        """Classify events, of which those of no class (class index -1) count in no metric."""
        logits = self(batch)
        self.metrics["test"].update(logits, batch.class_index)
        return logits

    def on_validation_epoch_end(self) -> None:
        self.log("val_loss", self.val_loss.compute(), sync_dist=True)
        self.val_loss.reset()
        self._log_metrics("val")

    def on_test_epoch_end(self) -> None:
        self._log_metrics("test")

    def _log_metrics(self, split: Split) -> None:
        metrics = self.metrics[split]
        self.results[split] = metrics.compute()
        metrics.reset()
        if self.trainer.state.fn != "fit":  # an evaluation reads `results`; logging 41 numbers takes 20 ms
            return
        values = scalars(self.results[split])
        # on the CPU where possible: on a GPU Lightning copies each metric some ten times, and waits for it
        numbers = torch.tensor(list(values.values()), device=self.device if self.trainer.world_size > 1 else "cpu")
        self.log_dict({f"{split}_{name}": value for name, value in zip(values, numbers, strict=True)}, sync_dist=True)
