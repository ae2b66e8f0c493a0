"""Lightning's Trainer with the settings of this program."""

import io
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any
from weakref import WeakSet

import lightning
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.plugins.environments import SLURMEnvironment
from lightning.pytorch.plugins.io import TorchCheckpointIO
from lightning.pytorch.profilers import PassThroughProfiler
from omegaconf import DictConfig
from torch import nn

from cdmtrain.devices.accelerator import check_accelerator
from cdmtrain.errors import InputError

PICKLING_STRATEGIES = ("spawn", "fork", "notebook")  # hand a pickled training to their processes


PRECISIONS = ("32-true", "bf16-mixed", "16-mixed")

COMPILED: WeakSet[nn.Module] = WeakSet()  # networks that a Trainer has compiled; an evaluation has its own Trainer


class Trainer(lightning.Trainer):
    """Lightning's Trainer with one more setting, `compile`, and without the cost of Lightning's idle profiler.

    It shows no summary of the model and makes no trial validation. In a SLURM job the processes are SLURM's, and
    Lightning does not put the job back into the queue, which `cdmtrain.cluster.preemption` does.

    Args:
        compile: compile the network (torch.compile) before its first step; names in checkpoints stay as they are.
        matmul_precision: of products of float32 matrices on a GPU: highest, or high for TF32 (torch's words).
        callbacks: as in Lightning.
        strategy: as in Lightning, except for strategies that need to pickle the training.
        settings: all other arguments of Lightning's Trainer.
    """

    def __init__(
        self,
        *,
        compile: bool = False,
        matmul_precision: str = "highest",
        callbacks: list[Callback] | None = None,
        strategy: str = "auto",
        **settings: Any,
    ) -> None:
        if any(word in strategy for word in PICKLING_STRATEGIES):
            raise InputError(f"trainer.strategy={strategy}: a run cannot be pickled; use trainer.strategy=ddp")
        torch.set_float32_matmul_precision(matmul_precision)
        torch.backends.cuda.enable_cudnn_sdp(False)  # cuDNN's attention plans anew for each length: 0.8 s a step
        callbacks = [*(callbacks or []), *([Compile()] if compile else [])]
        own: dict[str, Any] = {"enable_model_summary": False, "num_sanity_val_steps": 0}
        own["plugins"] = [*slurm_plugins(), CheckpointFile()]
        super().__init__(callbacks=callbacks, strategy=strategy, **own, **settings)
        if settings.get("profiler") is None:
            self.profiler = NoProfiler()


def check_trainer(cfg: DictConfig) -> None:
    """Refuse settings that Lightning would refuse late or in its own words."""
    trainer = cfg.trainer
    check_accelerator(str(trainer.accelerator))
    if "checkpoint" not in cfg.callbacks:
        raise InputError(
            "callbacks has no checkpoint, and a run is tested and resumed from its checkpoints; "
            "use callbacks=default, checkpoint or early_stopping"
        )
    if str(trainer.precision) not in PRECISIONS:
        raise InputError(f"trainer.precision={trainer.precision}: one of {', '.join(PRECISIONS)} is expected")


def slurm_plugins() -> list[SLURMEnvironment]:
    """The plugin of a Trainer in a SLURM job; none elsewhere."""
    try:
        return [SLURMEnvironment(auto_requeue=False)] if SLURMEnvironment.detect() else []
    except RuntimeError as error:
        raise InputError(str(error)) from None


class CheckpointFile(TorchCheckpointIO):
    """Writes a checkpoint where it belongs: Lightning writes it to the temporary directory first, which may be full."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        buffer = io.BytesIO()  # torch hides the errors of a disk
        torch.save(checkpoint, buffer)
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_bytes(buffer.getbuffer())


class NoProfiler(PassThroughProfiler):
    """Does nothing, in one context for all actions: Lightning's own creates a generator 60 times in every step."""

    _context = nullcontext()

    def profile(self, action_name: str) -> AbstractContextManager[Any]:  # type: ignore[override]
        return self._context


class Compile(Callback):
    """Compiles the network in place: a compiled LightningModule cannot log, a wrapped network renames its weights.

    The compiler begins with constants for all sizes and makes a variable of one that changes. On a CPU a step of
    `model=cnn` takes 1.7 times as long if all are variables at once.
    """

    def setup(self, trainer: lightning.Trainer, module: Any, stage: str) -> None:
        if module.model not in COMPILED:
            module.model.compile()
            COMPILED.add(module.model)
