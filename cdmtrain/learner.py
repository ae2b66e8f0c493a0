"""What the LightningModules here share: a network, its optimizer and schedule, and the mean loss of the training."""

import math
from collections.abc import Callable, Collection, Mapping
from difflib import get_close_matches
from typing import Any

import lightning
import numpy as np
import torch
from torch import nn

from cdmtrain.batch import EventBatch
from cdmtrain.errors import InputError
from cdmtrain.metrics import RunningMean

RATE_SCALE = "lr_scale"  # key of a parameter group
Augmentation = Callable[[EventBatch, torch.Generator], EventBatch]


class Learner(lightning.LightningModule):
    """Trains a network on batches of events; a subclass says what is learned, in `training_step`.

    Args:
        model: takes the output of the representation.
        representation: maps an EventBatch to an Image, Graph or Sequence, on the device of the batch.
        optimizer: called with the parameters; returns an optimizer.
        scheduler: None, or {interval, scheduler, num_steps_argument, monitor}. `scheduler` is called with the
            optimizer, and with the number of training steps as argument `num_steps_argument` unless that is None.
        augmentation: called with a training batch and a random generator; None for no augmentation.
        seed: of the augmentation. With the epoch, the batch and the process it fixes every draw, so a resumed training
            draws the same numbers.
        freeze: names of modules of the network that are not trained: they compute as in a test, without dropout and
            with the running statistics that they have.
        loaded_lr: learning rate of the parameters in `loaded`, as a fraction of that of all others.
    """

    def __init__(
        self,
        *,
        model: nn.Module,
        representation: nn.Module,
        optimizer: Callable[..., torch.optim.Optimizer],
        scheduler: Mapping[str, Any] | None = None,
        augmentation: Augmentation | None = None,
        seed: int = 0,
        freeze: Collection[str] = (),
        loaded_lr: float = 1.0,
    ) -> None:
        super().__init__()
        self.model = model
        self.representation = representation
        self.train_loss = RunningMean()
        self._make_optimizer = optimizer
        self._scheduler = scheduler
        self.augmentation = augmentation
        self._seed = seed
        self._loaded_lr = loaded_lr
        self.loaded: Collection[str] = frozenset()  # names of parameters whose first values are from another run
        self._frozen = [named_module(model, name) for name in freeze]
        for module in self._frozen:
            module.requires_grad_(False).eval()
        self.results: dict[str, dict[str, Any]] = {}  # metrics of each split, as last computed

    def __setattr__(self, name: str, value: Any) -> None:
        """Set a plain attribute at once: Lightning sets one 48 times in every step, which saves 0.1 ms."""
        if name in self.__dict__ and (value is None or type(value) is str):  # no parameter, buffer or module
            self.__dict__[name] = value
        else:
            super().__setattr__(name, value)

    def train(self, mode: bool = True) -> "Learner":
        super().train(mode)
        for module in self._frozen:
            module.eval()
        return self

    def on_train_epoch_end(self) -> None:
        self.log("train_loss", self.train_loss.compute(), sync_dist=True)
        self.train_loss.reset()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the sums of the training loss, so that the mean of an epoch survives a resume within it.

        Their names are those of version 0.1.
        """
        sums = zip(("mean_value", "weight"), self.train_loss.sums(), strict=True)
        checkpoint["state_dict"] |= {f"train_loss.{name}": torch.tensor(float(value)) for name, value in sums}
        checkpoint["loaded"] = sorted(self.loaded)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        total, num_events = (checkpoint["state_dict"].pop(f"train_loss.{name}") for name in ("mean_value", "weight"))
        if self.global_rank == 0:  # the first process continues the sums of all processes
            self.train_loss.total, self.train_loss.num_events = total, int(num_events)

    def configure_optimizers(self) -> Any:
        optimizer = self._make_optimizer(self._trained())
        if self.trainer.gradient_clip_val and "mixed" in self.trainer.precision and optimizer.defaults.get("fused"):
            optimizer = self._make_optimizer(self._trained(), fused=False)  # Lightning does not clip for a fused one
        if self._loaded_lr != 1:
            scale_rates(optimizer)
        if not self._scheduler:
            keep_settings(optimizer)
            return optimizer
        settings = dict(self._scheduler)
        make, argument = settings.pop("scheduler"), settings.pop("num_steps_argument")
        total = self.trainer.estimated_stepping_batches if argument else 0
        if math.isinf(total):
            raise InputError(
                f"this schedule covers the whole training, and trainer.max_epochs={self.trainer.max_epochs} sets no "
                "end; set trainer.max_epochs or trainer.max_steps, or choose scheduler=none, step or plateau"
            )
        steps = {argument: int(total)} if argument else {}
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": make(optimizer, **steps), **settings}}

    def _trained(self) -> list[Any]:
        """The parameters that are trained; with a rate of their own for loaded ones two groups, the new ones first."""
        trained = {name: one for name, one in self.named_parameters() if one.requires_grad}
        if not trained:
            raise InputError("freeze leaves no weights of the network to train; leave out one of its modules")
        if self._loaded_lr == 1:
            return list(trained.values())
        loaded = [one for name, one in trained.items() if name in self.loaded]
        new = [one for name, one in trained.items() if name not in self.loaded]
        groups = ({"params": new, RATE_SCALE: 1.0}, {"params": loaded, RATE_SCALE: self._loaded_lr})
        return [group for group in groups if group["params"]]

    def _generator(self, batch_index: int) -> torch.Generator:
        seeds = (self._seed, self.current_epoch, batch_index, self.global_rank)
        return torch.Generator(self.device).manual_seed(int(np.random.SeedSequence(seeds).generate_state(1)[0]))


def named_module(network: nn.Module, name: str) -> nn.Module:
    """Return a module of the network by its name.

    Raises:
        InputError: where there is none, or it has no weights; with the nearest names.
    """
    modules = {key: one for key, one in network.named_modules() if key and any(True for _ in one.parameters())}
    if name in modules:
        return modules[name]
    near = get_close_matches(str(name), modules)
    top = [key for key in modules if "." not in key]
    hint = f"did you mean {' or '.join(near)}?" if near else f"it has {', '.join(top)}"
    raise InputError(f"freeze: the network has no module {name} with weights; {hint}")


def scale_rates(optimizer: torch.optim.Optimizer) -> None:
    """Multiply the rate of each parameter group by its RATE_SCALE in every step, and in no schedule: ratios stay."""
    rates: list[Any] = []

    def scale(optimizer: torch.optim.Optimizer, *step: object) -> None:
        rates[:] = [group["lr"] for group in optimizer.param_groups]
        for group in optimizer.param_groups:
            group["lr"] *= group[RATE_SCALE]

    def restore(optimizer: torch.optim.Optimizer, *step: object) -> None:
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate

    optimizer.register_step_pre_hook(scale)
    optimizer.register_step_post_hook(restore)


def keep_settings(optimizer: torch.optim.Optimizer) -> None:
    """Let the settings that the optimizer has now hold after a checkpoint is loaded, whose schedule may have ended."""
    own = [{name: value for name, value in group.items() if name != "params"} for group in optimizer.param_groups]

    def restore(optimizer: torch.optim.Optimizer) -> None:
        for group, settings in zip(optimizer.param_groups, own, strict=True):
            group.update(settings)

    optimizer.register_load_state_dict_post_hook(restore)
