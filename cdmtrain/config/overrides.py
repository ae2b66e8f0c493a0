"""Overrides typed beside `run=`: the parts of a run's own configuration that they change."""

import re
from collections.abc import Collection

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from cdmtrain.errors import InputError

ALWAYS_FREE = ("task", "run", "print_config", "trust", "report", "hydra")


def override_keys() -> list[str]:
    """The keys and groups that were typed, dotted: data.split for `data/split=stratified`."""
    words = [re.split(r"[=@]", word.lstrip("+~"))[0] for word in HydraConfig.get().overrides.task]
    return [word.replace("/", ".") for word in words]


def apply_overrides(
    recorded: DictConfig, cfg: DictConfig, *, parts: Collection[str], free: Collection[str]
) -> DictConfig:
    """Apply the typed overrides to a run's configuration: a typed option replaces the run's, a value changes it.

    Args:
        recorded: the run's own configuration.
        cfg: the configuration composed from the command line.
        parts: the parts of the configuration that may be changed.
        free: other keys that may be typed, which belong to the task.

    Raises:
        InputError: for any other key, which would be ignored.
    """
    tops = {key: key.partition(".")[0] for key in override_keys()}
    others = [key for key, top in tops.items() if top not in (*parts, *free, *ALWAYS_FREE)]
    if others:
        raise InputError(f"with run= that run's own configuration is used; leave out {' and '.join(others)}")
    changed = recorded.copy()
    for key in (key for key, top in tops.items() if top in parts):
        value = OmegaConf.select(cfg, key)
        plain = OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
        OmegaConf.update(changed, key, plain, merge=False)
    return changed
