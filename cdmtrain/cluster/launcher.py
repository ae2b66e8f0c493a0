"""hydra/launcher=slurm: every run of a sweep is a job of a SLURM cluster.

Nothing heavy is imported here: Hydra is told of the launcher before it is known whether it is wanted.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class SlurmLauncher(Launcher):
    """Submits the runs of a sweep as an array, and waits for its end where `launch.wait` is true.

    Args:
        settings: the keys of conf/hydra/launcher/slurm.yaml. They may depend on what is swept over, so each job's are
            read from its own configuration, not from here.
    """

    def __init__(self, **settings: Any) -> None:
        self._settings = settings

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self._context, self._task, self._config = hydra_context, task_function, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        from cdmtrain.cluster.submission import submit
        from cdmtrain.cluster.waiting import wait

        jobs = submit(job_overrides, self._config, self._context, self._task)
        return wait(jobs) if self._config.launch.wait else [job.ended(None) for job in jobs]


@contextmanager
def known_to_hydra() -> Iterator[None]:
    """Let Hydra use this launcher; it takes plugins from the namespace hydra_plugins alone."""
    plugins, target = Plugins.instance(), f"{SlurmLauncher.__module__}.{SlurmLauncher.__name__}"
    plugins.register(SlurmLauncher)
    stored = vars(Plugins)["is_in_toplevel_plugins_module"]
    Plugins.is_in_toplevel_plugins_module = staticmethod(lambda name: name == target or stored(name))  # type: ignore
    try:
        yield
    finally:
        Plugins.is_in_toplevel_plugins_module = stored  # type: ignore[method-assign]
