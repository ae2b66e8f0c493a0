"""The configuration of one trial of a search, and the experiment yaml of the best."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf, open_dict

from cdmtrain.config.changes import changes
from cdmtrain.config.sources import BUNDLES, Composition, job_composition
from cdmtrain.config.suggestions import explain_composition
from cdmtrain.errors import InputError

SEARCH_KEYS = ("task", "study", "trials", "worker", "sampler", "pruner")


def base_words() -> list[str]:
    """Return the overrides of the search command that also hold for its trials."""
    words = HydraConfig.get().overrides.task
    return [word for word in words if word.lstrip("+~").partition("=")[0].partition(".")[0] not in SEARCH_KEYS]


@contextmanager
def composed(words: Sequence[str], parameters: Mapping[str, Any], directory: Path) -> Iterator[DictConfig]:
    """Compose the configuration of a trial, and let HydraConfig describe the trial while it is used.

    Args:
        words: overrides that hold for every trial.
        parameters: what the study chose for this one.
        directory: run directory of the trial.

    Raises:
        InputError: if a key of the search space does not exist.
    """
    before = HydraConfig.instance().cfg
    paths = [word for word in HydraConfig.get().overrides.hydra if word.startswith("hydra.searchpath=")]
    typed = [*paths, *words, "task=train", *(f"{key}={value}" for key, value in parameters.items())]
    typed += [f"run_dir='{directory}'", "print_config=false", "hydra.mode=RUN"]
    name = HydraConfig.get().job.config_name
    try:
        cfg = hydra.compose(name, overrides=typed, return_hydra_config=True)
    except HydraException as error:
        raise InputError(f"search.space: {explain_composition(error, typed) or error}") from None
    HydraConfig.instance().set_config(cfg)
    try:
        with open_dict(cfg):
            del cfg.hydra
            cfg.pop("search", None)
        yield cfg
    finally:
        HydraConfig.instance().cfg = before


def experiment_yaml(head: str, cfg: DictConfig) -> str:
    """Return an experiment that composes `cfg`; called while `composed` lasts."""
    settings = {key: value for key, (_, value) in changes(cfg).items()}
    options = {group: option for group, option in job_composition().options.items() if group in settings}
    content = OmegaConf.create({"defaults": [{f"override /{group}": option} for group, option in _needed(options)]})
    for key, value in settings.items():
        if key not in options:
            OmegaConf.update(content, key, value, force_add=True)
    return f"# @package _global_\n{head}\n{OmegaConf.to_yaml(content)}"


def _needed(options: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the options that no other option brings with it, as a model brings its representation."""
    chosen: dict[str, Any] = {}
    for group in sorted(options, key=lambda group: (group.count("/"), group != "data", group != "model")):
        option, brought = options[group], Composition(chosen).options.get(group)
        if option not in (None, brought) and group not in BUNDLES:
            chosen[group] = option
            yield group, option
