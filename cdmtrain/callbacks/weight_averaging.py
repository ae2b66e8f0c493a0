"""Average the weights over the training (Polyak and Juditsky 1992, doi:10.1137/0330046)."""

from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback
from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn

from cdmtrain.errors import InputError


class WeightAveraging(Callback):
    """Validate, and end the training, with an exponential moving average of the network's weights.

    After optimizer step t: mean <- d mean + (1 - d) weights, with d = min(decay, (1 + t) / (10 + t)), so that the first
    steps are soon forgotten. The running statistics of normalisation layers are averaged too. `best.ckpt` holds the
    mean; `last.ckpt` holds the weights that training continues from and the mean beside them, in the end the other way.

    Lightning's callback restores the weights before `best.ckpt` is saved; this one restores them when the epoch ends.

    Args:
        decay: d after the first steps; the mean covers about 1 / (1 - decay) steps.

    Raises:
        InputError: unless 0 <= decay < 1.
    """

    def __init__(self, *, decay: float) -> None:
        super().__init__()
        if not 0 <= decay < 1:
            raise InputError(f"callbacks.weight_averaging.decay={decay}: at least 0 and less than 1 is expected")
        self._decay = decay
        self._steps = 0
        self._mean: dict[str, Tensor] = {}
        self._exchanged = False  # the network holds the mean, and self._mean the weights that training continues from

    def state_dict(self) -> dict[str, Any]:
        return {"steps": self._steps, "mean": self._mean, "exchanged": self._exchanged}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._steps, self._mean, self._exchanged = (state_dict[name] for name in ("steps", "mean", "exchanged"))

    def on_train_start(self, trainer: lightning.Trainer, module: Any) -> None:
        self._mean = self._mean or module.model.state_dict()
        exchanged = self._exchanged
        self._exchange(module)
        if not exchanged:  # once through the network, the mean is on its device and has today's names of the weights
            self._exchange(module)

    def on_train_batch_end(self, trainer: lightning.Trainer, module: Any, *step: Any) -> None:
        if trainer.global_step == self._steps:  # gradients are being accumulated
            return
        self._steps = trainer.global_step
        weights = module.model.state_dict()
        real = [name for name, value in weights.items() if value.is_floating_point()]
        decay = min(self._decay, (1 + self._steps) / (10 + self._steps))
        update = get_ema_multi_avg_fn(decay)
        update([self._mean[name] for name in real], [weights[name] for name in real], self._steps)

    def on_validation_start(self, trainer: lightning.Trainer, module: Any) -> None:
        if trainer.state.fn == "fit" and not trainer.sanity_checking:
            self._exchange(module)

    def on_train_epoch_end(self, trainer: lightning.Trainer, module: Any) -> None:
        if self._exchanged:
            self._exchange(module)

    def on_train_end(self, trainer: lightning.Trainer, module: Any) -> None:
        if not self._exchanged:
            self._exchange(module)

    def _exchange(self, module: Any) -> None:
        self._exchanged = not self._exchanged
        weights = {name: value.clone() for name, value in module.model.state_dict().items()}
        module.model.load_state_dict(self._mean)
        self._mean = weights
