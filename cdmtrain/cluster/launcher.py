"""hydra/launcher=slurm: each run of a sweep becomes a job of a SLURM cluster.

Nothing heavy is imported here: the launcher is registered before it is known whether it will be used.
"""

from collections.abc import Sequence
from typing import Any

from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class SlurmLauncher(Launcher):
    """Submits the runs of a sweep as job arrays and, if `launch.wait` is true, waits until they have ended.

    Args:
        settings: the keys of conf/hydra/launcher/slurm.yaml. They may depend on what is swept over, so they are read
            from the configuration of each job instead.
    """

    __module__ = "hydra_plugins.cdmtrain"  # Hydra takes plugins of that namespace only; see hydra_plugin/

    def __init__(self, **settings: Any) -> None:
        self._settings = settings

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self._context, self._task, self._config = hydra_context, task_function, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        from cdmtrain.cluster.submission import submit
        from cdmtrain.cluster.waiting import wait
        from cdmtrain.config.outcomes import record_sweep

        record_sweep(self._config.hydra.sweep.dir)
        jobs = submit(job_overrides, self._config, self._context, self._task)
        return wait(jobs) if self._config.launch.wait else [job.ended(None) for job in jobs]


def register() -> None:
    """Make the launcher known to Hydra, which does not find plugins of an editable install by itself."""
    Plugins.instance().register(SlurmLauncher)
