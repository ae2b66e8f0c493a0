"""Compose each job of a sweep once.

Hydra composes every job to find mistakes before the first one runs, and composes it again to run it. Here the
configuration of the check is kept until its job runs.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.plugins.sweeper import Sweeper
from omegaconf import DictConfig, OmegaConf

MOST_KEPT = 100  # configurations, of 0.25 MB each; further jobs are composed twice


class Jobs:
    """A loader of configurations that hands out those which it has checked, each for one job."""

    def __init__(self, loader: ConfigLoader) -> None:
        self.loader = loader
        self.checked: defaultdict[tuple[str, ...], list[DictConfig]] = defaultdict(list)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.loader, name)

    def __reduce__(self) -> tuple[Any, ...]:
        """Leave the configurations behind where a launcher sends the loader to another process."""
        return Jobs, (self.loader,)

    def check(self, master_config: DictConfig, batch: Sequence[Sequence[str]]) -> None:
        """Compose every job; a mistake is an error of Hydra."""
        self.checked.clear()
        for number, words in enumerate(batch):
            config = self.loader.load_sweep_config(master_config, list(words))
            if number < MOST_KEPT:
                self.checked[tuple(words)].append(config)

    def load_sweep_config(self, master_config: DictConfig, sweep_overrides: list[str]) -> DictConfig:
        """Return the configuration of a job."""
        checked = self.checked[tuple(sweep_overrides)]
        if not checked:
            return self.loader.load_sweep_config(master_config, sweep_overrides)
        config = checked.pop()
        OmegaConf.copy_cache(from_config=master_config, to_config=config)  # with what was resolved since the check
        return config


def validate_batch_is_legal(sweeper: Any, batch: Sequence[Sequence[str]]) -> None:
    """Check the jobs of a sweep and keep their configurations, in place of the method of Hydra's sweepers."""
    context = sweeper.hydra_context
    if not isinstance(context.config_loader, Jobs):
        context.config_loader = Jobs(context.config_loader)
    context.config_loader.check(sweeper.config, batch)


def compose_jobs_once() -> None:
    """Let the sweeps of this process compose each job once."""
    Sweeper.validate_batch_is_legal = validate_batch_is_legal  # type: ignore
