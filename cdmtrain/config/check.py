"""Values of the wrong type and values not given are found before anything heavy is imported."""

import json

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from cdmtrain.config.explain import no_value
from cdmtrain.config.help import groups
from cdmtrain.errors import InputError

# Lightning reads these as numbers or as words, lists or fractions
SEVERAL_TYPES = ("trainer.devices", "trainer.deterministic")


def expected(value: object, default: object) -> str | None:
    """What should have been given where the default is this; None where the value will do."""
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
    """The same for a list: its entries are like the first entry of the default."""
    like = default[0] if default else None
    if isinstance(value, list) and all(expected(entry, like) is None for entry in value):
        return None
    kind = "whole numbers" if isinstance(like, int) else "numbers" if isinstance(like, float) else "values"
    return f"a list of {kind} in brackets"


def check(cfg: DictConfig) -> None:
    """Refuse a value that was to be typed and was not, and a value typed that is not of its default's type."""
    job = HydraConfig.get()
    for key in sorted(OmegaConf.missing_keys(cfg)):
        raise InputError(no_value(key, job.runtime.choices))
    if job.mode == RunMode.RUN and (launcher := job.runtime.choices["hydra/launcher"]) != "basic":
        raise InputError(f"hydra/launcher={launcher} is for sweeps; add -m (a sweep may be of one run)")
    overrides = OverridesParser.create().parse_overrides(list(job.overrides.task))
    options = {*job.runtime.choices, *groups()}  # Hydra's record of choices has no group for which several were chosen
    values = [one for one in overrides if one.key_or_group not in options and one.type is OverrideType.CHANGE]
    if not values:
        return
    chosen = [str(one.input_line) for one in overrides if one.key_or_group in options]
    defaults = hydra.compose(job.job.config_name, overrides=chosen)
    for one in values:
        _check_value(one, OmegaConf.select(cfg, one.key_or_group), _plain(defaults, one.key_or_group))


def _plain(cfg: DictConfig, key: str) -> object:
    """The value of a key, interpolations resolved, as plain Python; None where it has none."""
    value = OmegaConf.select(cfg, key, throw_on_resolution_failure=False)
    return OmegaConf.to_container(value) if OmegaConf.is_config(value) else value


def _check_value(override: Override, value: object, default: object) -> None:
    key = override.key_or_group
    value = OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
    words = None if key in SEVERAL_TYPES else expected(value, default)
    if words:
        raise InputError(f"{override.input_line}: {words} is expected{_default(default)}")


def _default(value: object) -> str:
    """The default as one would type it; nothing for a whole node."""
    if isinstance(value, dict):
        return ""
    return f" (default {value if isinstance(value, str) else json.dumps(value)})"
