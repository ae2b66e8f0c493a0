"""The sentence for a mistake in what was typed: what does not exist, and what is near.

Hydra says that a configuration cannot be composed; which of the words is wrong is found here, from the words and the
yaml files.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from itertools import islice, product
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException, MissingConfigException, OverrideParseException

from cdmtrain.config.build import missing_extra
from cdmtrain.config.sources import BUNDLES, CONF, GLOBAL, Composition, choices, groups, read_yaml, select
from cdmtrain.config.words import quoted
from cdmtrain.errors import InputError

MOST_COMBINATIONS = 100  # of swept options that are tried to find a wrong key


def explain_composition(exception: Exception, words: Sequence[str]) -> str | None:
    """The sentence for words from which no configuration could be composed; None for a fault of the program."""
    if isinstance(exception, OverrideParseException):
        return _syntax(exception.override)
    if isinstance(exception, MissingConfigException) and exception.missing_cfg_file:
        group, _, option = exception.missing_cfg_file.rpartition("/")
        return _no_option(group, option, exception.options or [])
    if isinstance(exception, InputError):
        return str(exception)
    message = " ".join(str(exception).split()) if isinstance(exception, HydraException) else None
    return _first_mistake(words) or message


def no_key(key: str) -> str:
    """The sentence for a key that the configuration lacks: the option it belongs to, or what is near."""
    keys = _owners()
    if owners := keys.get(key):
        add = f"add {owners[0]}" if len(owners) == 1 else "add one of them"
        return f"{key} belongs to {' and '.join(owners)}; {add}"
    parent = key.rpartition(".")[0]
    siblings = {name.rpartition(".")[2]: name for name in keys if parent and name.rpartition(".")[0] == parent}
    near = _nearest(key, keys, siblings)
    if parent and siblings and not near:
        return f"{key} does not exist; {parent} has {', '.join(sorted(siblings))}"
    return f"{key} does not exist{_did_you_mean(near) or '; cdmtrain --cfg job shows every key'}"


def no_value(key: str, chosen: Mapping[str, str | None] | None = None) -> str:
    """The sentence for a value that must be typed and was not, with a command of the option that was chosen."""
    owned = _owners().get(key, [])
    owned = [f"{group}={option}" for group, option in (chosen or {}).items() if f"{group}={option}" in owned] or owned
    options = (option for group, found in groups().items() for option in found if f"{group}={option.name}" in owned)
    everything = (option for found in groups().values() for option in found)
    command = next((one.command for one in (*options, *everything) if f" {key}=" in f" {one.command}"), None)
    return f"{key} is missing; " + (f"type for example: cdmtrain {command}" if command else f"add {key}=...")


def _first_mistake(words: Sequence[str]) -> str | None:
    """The sentence for the first word that cannot be right; None where none is found."""
    parser = OverridesParser.create()
    try:
        overrides = [word for word in words if word.startswith("~") or ("=" in word and not word.startswith("-"))]
        typed = [parser.parse_override(word) for word in overrides]
    except OverrideParseException as error:
        return _syntax(error.override)
    swept = [one for one in typed if one.is_sweep_override()]
    if swept and any(word.partition("=")[0] in ("--cfg", "-c") for word in words):
        return (
            f"{swept[0].input_line} is several values, and --cfg shows the configuration of one job; type one of them"
        )
    if swept and not {"-m", "--multirun"} & set(words):
        key, _, several = str(swept[0].input_line).partition("=")
        as_list = "" if key in groups() else f", or brackets to make one list of them: {key}=[{several}]"
        return f"{swept[0].input_line} is several values; add -m to run each{as_list}"
    known = groups()
    chosen = [one for one in typed if one.key_or_group in known]
    for one in chosen:
        if one.is_add():
            return f"{one.key_or_group} exists already; write it without +"
        for option in _values(one):
            nothing = option is None and one.key_or_group in BUNDLES
            if not nothing and (not isinstance(option, str) or option in ("", "null")):
                return _no_option(one.key_or_group, str("null" if option is None else option))
    values = [one for one in typed if one.key_or_group not in known]
    for composition in _compositions(chosen):
        for group in (one.key_or_group for one in chosen):
            if group not in composition.options and "/" in group and not group.startswith("hydra"):
                return _no_part(group)
        composed = composition.values()
        if mistakes := [sentence for one in values if (sentence := _wrong_key(one, composed))]:
            return mistakes[0]
    return None


def _no_part(group: str) -> str:
    """The sentence for a nested group that the option chosen for its parent does not have."""
    parent, _, name = group.rpartition("/")
    owners = [option.name for option in groups()[parent] if name in choices(read_yaml(option.file))]
    return f"{group} belongs to {parent}={' or '.join(owners)}; the {parent} chosen here has none"


def _values(override: Override) -> list[object]:
    """The options that a word chooses, of a sweep or a list too."""
    value = list(override.sweep_iterator()) if override.is_sweep_override() else override.value()
    return value if isinstance(value, list) else [value]


def _compositions(chosen: Sequence[Override]) -> Iterator[Composition]:
    """What the options alone compose, for every combination of those that are swept over."""
    several = [_values(one) if one.is_sweep_override() else [one.value()] for one in chosen]
    for combination in islice(product(*several), MOST_COMBINATIONS):
        yield Composition(dict(zip((one.key_or_group for one in chosen), combination, strict=True)))


def _wrong_key(override: Override, values: dict[str, Any]) -> str | None:
    key = override.key_or_group
    parent, _, name = key.rpartition(".")
    node = select(values, parent)
    exists = isinstance(node, dict) and name in node
    if override.is_add():
        return f"{key} exists already; write it without +" if exists and not override.is_force_add() else None
    return None if exists or override.is_hydra_override() else no_key(key)


def _syntax(override: str) -> str:
    """What is wrong with a word that is no `key=value`."""
    if "=" not in override:
        options = [f"{group}={option.name}" for group, found in groups().items() for option in found]
        near = [option for option in options if option.split("=")[1] == override]
        return f"{override} is not of the form key=value" + _did_you_mean(near or _nearest(override, options, {}))
    if any(override.count(left) != override.count(right) for left, right in ("[]", "{}", "()")):
        return f"{override}: a bracket is not closed; if it belongs to a name, quote it: {quoted(override)}"
    return f"{override} cannot be read; quote a value with special characters: {quoted(override)}"


def _no_option(group: str, option: str, available: Sequence[str] = ()) -> str:
    if group.startswith("hydra/") and (extra := missing_extra(option)):  # a plugin's, which is found once installed
        return f"{group}={option} needs a package: pip install 'cdmtrain[{extra}]'"
    options = available or [option.name for option in groups()[group]]
    near = [f"{group}={name}" for name in get_close_matches(option, options)]
    near += [f"--config-dir={file.parents[group.count('/') + 1]}" for file in Path().glob(f"*/{group}/{option}.yaml")]
    return f"{group}={option} does not exist{_did_you_mean(near)} (options: {', '.join(options)})"


def _nearest(key: str, names: Iterable[str], siblings: dict[str, str]) -> list[str]:
    """The names most like the key: under the same parent if that exists, else with the same or a like last word."""
    last = key.rpartition(".")[2]
    beside = [siblings[name] for name in get_close_matches(last, siblings)]
    if beside or (siblings and last != key):
        return beside
    ends: dict[str, list[str]] = {}
    for name in names:
        ends.setdefault(name.rpartition(".")[2], []).append(name)
    whole = get_close_matches(key, names, n=1, cutoff=0.75)
    return ends.get(last) or whole or [name for end in get_close_matches(last, ends, n=1) for name in ends[end]]


def _did_you_mean(near: Sequence[str]) -> str:
    return f"; did you mean {' or '.join(near)}?" if near else ""


def _owners() -> dict[str, list[str]]:
    """Every key that some yaml file sets, with the options it comes with; none for keys of config.yaml and groups."""
    owners: dict[str, list[str]] = {key: [] for key in (*groups(), *_keys("", CONF / "config.yaml"))}
    for group, options in groups().items():
        for option in options if group not in BUNDLES else []:
            for key in _keys(group, option.file):
                owners.setdefault(key, []).append(f"{group}={option.name}")
    return owners


def _keys(group: str, file: Path) -> Iterator[str]:
    """The dotted keys that a yaml file sets, inner nodes too."""
    content = read_yaml(file)
    package = "" if GLOBAL in content else group.replace("/", ".")

    def walk(prefix: str, node: object) -> Iterator[str]:
        for name, value in node.items() if isinstance(node, dict) else ():
            if name not in ("defaults", "hydra", GLOBAL) and not str(name).startswith("_"):
                yield f"{prefix}{name}"
                yield from walk(f"{prefix}{name}.", value)

    return walk(f"{package}." if package else "", content)
