"""Lightning's Trainer, for runs of this program."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.profilers import PassThroughProfiler
from lightning.pytorch.strategies.launchers.subprocess_script import _SubprocessScriptLauncher

from cdmtrain.devices.processes import Launcher


class Trainer(lightning.Trainer):
    """Takes `compile` beside Lightning's own settings, and starts the processes of several devices by `Launcher`.

    Args:
        compile: compile the network (torch.compile) before its first step; names in checkpoints stay as they are.
        matmul_precision: of products of float32 matrices on a GPU: highest, or high for TF32 (torch's words).
        callbacks: as Lightning's.
        settings: Lightning's.
    """

    def __init__(
        self,
        *,
        compile: bool = False,
        matmul_precision: str = "highest",
        callbacks: list[Callback] | None = None,
        **settings: Any,
    ) -> None:
        torch.set_float32_matmul_precision(matmul_precision)
        super().__init__(callbacks=[*(callbacks or []), *([Compile()] if compile else [])], **settings)
        if settings.get("profiler") is None:
            self.profiler = NoProfiler()
        launcher = self.strategy.launcher
        if type(launcher) is _SubprocessScriptLauncher:
            own = Launcher(launcher.cluster_environment, launcher.num_processes, launcher.num_nodes)
            self.strategy._launcher = own


class NoProfiler(PassThroughProfiler):
    """Does nothing, with one context for all: Lightning's own makes a generator each time, 60 in every step."""

    _context = nullcontext()

    def profile(self, action_name: str) -> AbstractContextManager[Any]:  # type: ignore[override]
        return self._context


class Compile(Callback):
    """Compiles the network in place: a compiled LightningModule cannot log, a wrapped network has other names."""

    def setup(self, trainer: lightning.Trainer, module: Any, stage: str) -> None:
        if module.model._compiled_call_impl is None:
            module.model.compile()
