"""The yaml files that a configuration is composed from: its groups, their options, and the values these set.

The files are read here as plain yaml, a millisecond each, so that help, checks and the record of what was changed need
no composition by Hydra beside the one that runs.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from cdmtrain.config.roots import CONF, option_files, roots

GLOBAL = "@package"
BUNDLES = ("experiment", "recipe", "search")  # groups that set values of the other groups


class Loader(yaml.CSafeLoader):
    """Reads numbers as OmegaConf does: 1e-3 is a number, which YAML 1.1 takes for a word."""


EXPONENT = re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+$")
Loader.add_implicit_resolver("tag:yaml.org,2002:float", EXPONENT, list("-+0123456789"))


@dataclass(frozen=True)
class Option:
    """One yaml file of a group, with what its first comment says."""

    file: Path
    command: str  # what to type after `cdmtrain`
    phrase: str  # what the option is; empty where the file does not say

    @property
    def name(self) -> str:
        return self.file.stem


def read_option(file: Path, group: str) -> Option:
    """Read the option's line `# cdmtrain <command>: <phrase>`; a file without it is chosen by its name."""
    prefix = "# cdmtrain "
    with file.open(encoding="utf-8") as lines:
        line = next((line for line in lines if line.startswith(prefix)), prefix)
    command, _, phrase = line.removeprefix(prefix).strip().partition(": ")
    return Option(file, command or f"{group}={file.stem}", phrase)


def read_yaml(file: Path) -> dict[str, Any]:
    """The content of a file, with GLOBAL: True where its keys are not those of its group but of the top level."""
    text = file.read_text(encoding="utf-8-sig")
    content = yaml.load(text, Loader) or {}
    return content | ({GLOBAL: True} if f"# {GLOBAL} _global_" in text else {})


def groups() -> dict[str, list[Option]]:
    """Every group with its options: task, then in the order of `config.yaml`; nested groups follow their parent."""
    found: dict[str, dict[str, Option]] = {}
    for root in roots():
        for file in option_files(root):
            group = file.parent.relative_to(root).as_posix()
            found.setdefault(group, {}).setdefault(file.stem, read_option(file, group))
    flow = list({"task": None, **choices(read_yaml(CONF / "config.yaml"))})

    def rank(group: str) -> tuple[int, str]:
        top = group.split("/")[0]
        return (flow.index(top) if top in flow else len(flow), group)

    return {group: list(found[group].values()) for group in sorted(found, key=rank)}


def default_options() -> dict[str, Any]:
    """The option each group has when nothing is typed; a list where a group takes several."""
    return Composition().options


class Composition:
    """The files that Hydra merges for some chosen options, and what they set.

    Args:
        chosen: options chosen beside the defaults, {group: option or list of options}. They override what the yaml
            files choose.
    """

    def __init__(self, chosen: Mapping[str, Any] | None = None) -> None:
        self._roots = roots()
        self._primary = self._read("config")
        self.options: dict[str, Any] = {}
        overrides = dict(chosen or {})
        listed = choices(self._primary)
        for group in reversed(listed):  # where two options override a third group, the later one wins
            for content in reversed(self._contents(group, overrides.get(group, listed[group]))):
                overrides = _overrides(content) | overrides
        for group, option in listed.items():
            self._choose(group, option, overrides)

    def values(self, *, without: tuple[str, ...] = ()) -> dict[str, Any]:
        """The merged values of all files, interpolations as written, without those of some groups."""
        merged = {key: value for key, value in self._primary.items() if key not in ("defaults", "hydra")}
        for group, option in self.options.items():
            for content in self._contents(group, option) if group not in without else ():
                values = {key: value for key, value in content.items() if key not in ("defaults", GLOBAL)}
                for part in () if GLOBAL in content else reversed(group.split("/")):
                    values = {part: values}
                _merge(merged, values)
        return merged

    def _choose(self, group: str, option: Any, overrides: Mapping[str, Any]) -> None:
        self.options[group] = overrides.get(group, option)
        for content in self._contents(group, self.options[group]):
            for nested, inner in choices(content).items():
                self._choose(f"{group}/{nested}", inner, overrides)

    def _contents(self, group: str, option: Any) -> list[dict[str, Any]]:
        """The files of a group's option or options, each after the options of the same group that it includes."""
        found = []
        for name in option if isinstance(option, list) else [] if option is None else [option]:
            content = self._read(f"{group}/{name}")
            included = [entry for entry in content.get("defaults", []) if isinstance(entry, str) and entry != "_self_"]
            found += [*self._contents(group, [entry.partition("@")[0] for entry in included]), content]
        return found

    def _read(self, name: str) -> dict[str, Any]:
        """The content of an option's file; nothing where no directory has it."""
        file = next((path for root in self._roots if (path := root / f"{name}.yaml").is_file()), None)
        return read_yaml(file) if file else {}


def job_composition() -> Composition:
    """The composition of the running job, by the options that Hydra recorded and the lists that were typed."""
    from hydra.core.hydra_config import HydraConfig
    from hydra.core.override_parser.overrides_parser import OverridesParser

    job = HydraConfig.get()
    typed = OverridesParser.create().parse_overrides(list(job.overrides.task))
    lists = {one.key_or_group: one.value() for one in typed if isinstance(one.value(), list)}
    return Composition({**lists, **job.runtime.choices})


def select(content: Mapping[str, Any], key: str) -> Any:
    """The value of a dotted key, None where there is none; the whole content for the empty key."""
    node: Any = content
    for name in key.split(".") if key else ():
        node = node.get(name) if isinstance(node, Mapping) else None
    return node


def leaves(content: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every value by its dotted key."""
    for name, value in content.items():
        key = f"{prefix}{name}"
        if isinstance(value, Mapping):
            yield from leaves(value, f"{key}.")
        else:
            yield key, value


def choices(content: Mapping[str, Any]) -> dict[str, Any]:
    """The options that a defaults list chooses for other groups, by group."""
    return {group: option for group, option in _entries(content) if " " not in group}


def _overrides(content: Mapping[str, Any]) -> dict[str, Any]:
    """The options of other groups that a defaults list overrides, by group."""
    prefix = "override /"
    overrides = {group: option for group, option in _entries(content) if group.startswith(prefix)}
    return {group.removeprefix(prefix).partition("@")[0]: option for group, option in overrides.items()}


def _entries(content: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """The pairs of group and option in a defaults list."""
    return [pair for entry in content.get("defaults", []) if isinstance(entry, dict) for pair in entry.items()]


def _merge(merged: dict[str, Any], content: Mapping[str, Any]) -> None:
    for key, value in content.items():
        if isinstance(value, dict) and isinstance(merged.get(key), dict):
            _merge(merged[key], value)
        else:
            merged[key] = value
