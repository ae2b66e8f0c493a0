"""The LightningModule that trains a network without labels, on whatever an objective asks."""

from collections.abc import Collection
from dataclasses import replace
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from cdmtrain.batch import EventBatch
from cdmtrain.learner import Learner
from cdmtrain.metrics import RunningMean

Split = Literal["val", "test"]
UNKNOWN = -1  # class index


class Pretraining(Learner):
    """Trains a network on an objective that needs no labels; it never sees the class of an event.

    What the objective has besides the network is kept in checkpoints under `objective.`, so that the tensors of the
    network have the names that a classifier gives them.

    Args:
        objective: called with what encodes a batch, the batch, a random generator and the augmentation; returns the
            mean losses of its events, of which `loss` is trained. Its `encode` and `summarize` take representation,
            model and a batch and give the features that it uses and those of whole events.
        settings: the arguments of Learner.
    """

    def __init__(self, *, objective: nn.Module, **settings: Any) -> None:
        super().__init__(**settings)
        self.objective = objective
        self.untrained: Collection[str] = frozenset()  # names of tensors of the network that the objective leaves alone
        self._means: dict[str, dict[str, RunningMean]] = {"val": {}, "test": {}}

    def losses(self, batch: EventBatch, generator: torch.Generator) -> dict[str, Tensor]:
        """The losses of a batch, whose labels are removed first."""
        batch = replace(batch, class_index=torch.full_like(batch.class_index, UNKNOWN))
        return self.objective(self.encode, batch, generator, self.augmentation)

    def encode(self, batch: EventBatch) -> Float[Tensor, "row feature"]:
        """The features that the objective uses: a row for each hit, or for each event."""
        return self.objective.encode(self.representation, self.model, batch)  # type: ignore[operator]

    def summarize(self, batch: EventBatch) -> Float[Tensor, "event feature"]:
        """What the network knows of each event."""
        return self.objective.summarize(self.representation, self.model, batch)  # type: ignore[operator]

    def training_step(self, batch: EventBatch, batch_index: int) -> Float[Tensor, ""]:
        loss = self.losses(batch, self._generator(batch_index))["loss"]
        self.train_loss.update(loss, batch.num_events if batch.weight else 0)
        return loss * batch.weight

    def validation_step(self, batch: EventBatch, batch_index: int) -> None:
        self._update("val", batch, batch_index)

    def test_step(self, batch: EventBatch, batch_index: int) -> None:
        self._update("test", batch, batch_index)

    def on_validation_epoch_end(self) -> None:
        self._log("val")

    def on_test_epoch_end(self) -> None:
        self._log("test")

    def leave_alone(self, batch: EventBatch) -> None:
        """Find what the objective does not train, from the gradients of some events, and freeze it.

        So an optimizer has no parameter without a gradient, and `weights=` does not take for learned what is random.
        """
        mode = self.training
        self.eval()
        with torch.enable_grad():
            self.losses(batch, torch.Generator(batch.pixel.device).manual_seed(0))["loss"].backward()
        reached = {name for name, one in self.model.named_parameters() if one.grad is not None}
        self.zero_grad()
        self.train(mode)
        alone = set()
        for prefix, module in self.model.named_modules():
            own = {f"{prefix}.{name}".lstrip("."): one for name, one in module.named_parameters(recurse=False)}
            idle = {name: one for name, one in own.items() if one.requires_grad and name not in reached}
            for one in idle.values():
                one.requires_grad_(False)
            buffers = module.named_buffers(recurse=False) if idle and len(idle) == len(own) else ()
            alone |= idle.keys() | {f"{prefix}.{name}".lstrip(".") for name, _ in buffers}
        self.untrained = frozenset(f"model.{name}" for name in alone)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_save_checkpoint(checkpoint)
        checkpoint["untrained"] = sorted(self.untrained)

    def _update(self, split: Split, batch: EventBatch, batch_index: int) -> None:
        generator = torch.Generator(self.device).manual_seed(batch_index)  # every epoch is asked the same
        for name, value in self.losses(batch, generator).items():
            self._means[split].setdefault(name, RunningMean()).update(value, batch.num_events)

    def _log(self, split: Split) -> None:
        self.results[split] = {name: mean.compute() for name, mean in self._means[split].items()}
        self.log_dict({f"{split}_{name}": value for name, value in self.results[split].items()}, sync_dist=True)
        self._means[split].clear()
