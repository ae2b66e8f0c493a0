"""Find missing values and values of the wrong type before anything heavy is imported."""

import json
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from cdmtrain.config.sources import groups, job_composition, select
from cdmtrain.config.suggestions import no_value
from cdmtrain.errors import InputError

# numbers or words, lists or fractions are allowed for these
SEVERAL_TYPES = ("print_config", "data.on_device", "trainer.devices", "trainer.deterministic")

NEEDED = ("task", "data", "representation", "model", "loss", "optimizer", "trainer", "callbacks")  # by every run


def check(cfg: DictConfig) -> None:
    """Refuse a value that must be typed and was not, and a typed value that has another type than its default.

    Raises:
        InputError: with the type that is expected.
    """
    job = HydraConfig.get()
    typed = OverridesParser.create().parse_overrides(list(job.overrides.task))
    for one in typed:
        _check_group(one)
    for key in sorted(OmegaConf.missing_keys(cfg)):
        raise InputError(no_value(key, job.runtime.choices))
    if job.mode == RunMode.RUN and (launcher := job.runtime.choices["hydra/launcher"]) != "basic":
        raise InputError(f"hydra/launcher={launcher} is for sweeps; add -m (a sweep may be of one run)")
    options = {*job.runtime.choices, *groups()}  # Hydra does not record the groups for which several were chosen
    values = [one for one in typed if one.key_or_group not in options and one.type is OverrideType.CHANGE]
    added = [one for one in typed if one.is_add() and "." not in one.key_or_group and "/" not in one.key_or_group]
    defaults = job_composition().values() if values or added else {}
    for one in added:
        if one.key_or_group not in (*defaults, *options):
            nothing = "cdmtrain has no setting of this name, so it would change nothing"
            raise InputError(f"{one.input_line}: {nothing}{_of_checkpoint(one)}")
    is_pretraining = job.runtime.choices["task"] == "pretrain"
    if is_pretraining != bool(cfg.get("objective")):
        raise InputError(
            "task=pretrain needs an objective: masked or contrastive"
            if is_pretraining
            else f"objective={job.runtime.choices.get('objective')} is learned without labels; add task=pretrain"
        )
    if cfg.get("print_config", False) not in ("changes", True, False):
        raise InputError(f"print_config={cfg.print_config}: changes, true or false is expected (default changes)")
    for one in values:
        key = one.key_or_group
        default = _resolved(cfg, key, select(defaults, key))
        words = None if key in SEVERAL_TYPES else expected(_plain(OmegaConf.select(cfg, key)), default)
        if words:
            raise InputError(f"{one.input_line}: {words} is expected{_in_brackets(default)}")


def _of_checkpoint(override: Override) -> str:
    """What to type instead of a key such as Lightning's ckpt_path."""
    if "ckpt" not in override.key_or_group and "checkpoint" not in override.key_or_group:
        return ""
    return f"; weights={override.value()} begins a new run with the weights of a checkpoint, and run= resumes a run"


def _check_group(one: Override) -> None:
    """Refuse to delete a group that every run needs, and to put values in the place of an option."""
    group = one.key_or_group
    if group in NEEDED and one.is_delete():
        raise InputError(f"{one.input_line}: every run needs a {group}; choose one with {group}=...")
    if group in NEEDED and isinstance(one.value(), dict):
        raise InputError(
            f"{one.input_line}: an option is expected, one of those that cdmtrain --help {group} shows; set its values "
            f"one by one, {group}.<key>=...; docs/your_model.md shows how to add an option with a class of your own"
        )


def expected(value: object, default: object) -> str | None:
    """What should have been typed where the default is this; None where the value is right."""
    if value is None or default is None:
        return None
    if isinstance(default, list):
        return _expected_list(value, default)
    kinds: list[tuple[type, tuple[type, ...], str]] = [
        (bool, (bool,), "true or false"),
        (int, (int,), "a whole number"),
        (float, (int, float), "a number"),
        (str, (str, int, float), "a word"),
        (dict, (dict,), "{key: value}"),
    ]
    right, words = next((right, words) for kind, right, words in kinds if isinstance(default, kind))
    return None if isinstance(value, right) and isinstance(value, bool) == isinstance(default, bool) else words


def _expected_list(value: object, default: list[object]) -> str | None:
    """The same for a list, whose entries must be like the first entry of the default."""
    like = default[0] if default else None
    if isinstance(value, list) and all(expected(entry, like) is None for entry in value):
        return None
    kind = "whole numbers" if isinstance(like, int) else "numbers" if isinstance(like, float) else "values"
    return f"a list of {kind} in brackets"


def _resolved(cfg: DictConfig, key: str, default: Any) -> Any:
    """The default with its interpolations resolved in the job's configuration."""
    if not isinstance(default, str) or "${" not in default:
        return None if default == "???" else default
    other = cfg.copy()
    OmegaConf.update(other, key, default)
    return _plain(OmegaConf.select(other, key, throw_on_resolution_failure=False))


def _plain(value: object) -> object:
    return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value


def _in_brackets(default: object) -> str:
    """The default as one would type it; nothing for a whole node."""
    if isinstance(default, dict):
        return ""
    return f" (default {default if isinstance(default, str) else json.dumps(default)})"
