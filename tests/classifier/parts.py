"""A tiny network, its Trainer, and callbacks that write down what happens in a training."""

import functools
from collections.abc import Iterator
from typing import Any

import lightning
import torch
from hydra import compose, initialize_config_module
from lightning.pytorch.callbacks import Callback
from omegaconf import DictConfig
from torch import Tensor, nn

import cdmtrain.cli  # noqa: F401  registers the resolvers that the configuration uses
from cdmtrain.batch import EventBatch, Image
from cdmtrain.classifier import Classifier
from cdmtrain.representation.image import ImageRepresentation

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
    """Notes the learning rate with which each step is made, of one group of parameters."""

    def __init__(self, group: int = 0) -> None:
        self.steps: list[float] = []
        self._group = group

    def on_before_optimizer_step(self, trainer: lightning.Trainer, module: Any, optimizer: Any) -> None:
        self.steps.append(optimizer.param_groups[self._group]["lr"])


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


def logits_and_truth(net: Classifier, batches: Batches) -> tuple[Tensor, Tensor]:
    with torch.no_grad():
        return torch.cat([net(batch) for batch in batches]), torch.cat([batch.class_index for batch in batches])
