"""What of a job's configuration differs from what `cdmtrain` alone would have composed."""

from collections.abc import Iterator
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

# groups whose options choose and set what belongs to other groups
BUNDLES = ("recipe", "experiment", "search")

NO_SETTING = ("hydra", "task", "run", "run_dir", "sweep", "launch", "print_config", "search")  # of what is trained


def changed() -> dict[str, list[Any]]:
    """{group or dotted key: [default, value]}: options other than the default, and values other than their option's."""
    job = HydraConfig.get()
    name = job.job.config_name
    usual = hydra.compose(name, return_hydra_config=True).hydra.runtime.choices
    chosen = {group: option for group, option in job.runtime.choices.items() if _is_setting(group)}
    options = {group: [usual.get(group), option] for group, option in chosen.items() if usual.get(group) != option}
    overrides = [f"{group}={option}" for group, option in chosen.items() if option and group not in BUNDLES]
    defaults = _leaves(hydra.compose(name, overrides=overrides))
    asked = _leaves(hydra.compose(name, overrides=list(job.overrides.task)))
    values = {key: [defaults.get(key), value] for key, value in asked.items() if defaults.get(key) != value}
    return options | {key: pair for key, pair in values.items() if _is_setting(key)}


def _is_setting(key: str) -> bool:
    return key.replace("/", ".").partition(".")[0] not in NO_SETTING


def _leaves(cfg: DictConfig) -> dict[str, Any]:
    """Every value by its dotted key, interpolations as they are written."""

    def walk(prefix: str, node: Any) -> Iterator[tuple[str, Any]]:
        if not isinstance(node, dict):
            yield prefix, node
            return
        for name, inner in node.items():
            yield from walk(f"{prefix}.{name}" if prefix else str(name), inner)

    return dict(walk("", OmegaConf.to_container(cfg, resolve=False)))
