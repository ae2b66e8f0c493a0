"""Callbacks and loggers of a run that is continued: they write, remove and send, so only what is shipped is believed.

A stranger may have written the configuration. A callback or logger is built if its class and its words are those of a
yaml file of this program, or were typed again beside `run=`.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from cdmtrain.config.sources import CONF, read_yaml
from cdmtrain.errors import InputError
from cdmtrain.runs.trust import check_targets, is_within

GROUPS = ("callbacks", "logger")
MOST_DEVICES = 64  # on one machine
RUN_DIR = "${run_dir}"
METRIC_NAMES = ("monitor", "mode")  # arguments that name a metric or a direction, and nothing else
WORD = re.compile(r"[\w+*()~/-]+")  # a particle such as pi+ may be in the name

Node = dict[str, Any]


def check_shipped(
    config: Node, before: str, run_dir: str, *, source: str, typed: Collection[str], trust: Collection[str]
) -> None:
    """Refuse callbacks and loggers that are neither shipped, typed nor trusted.

    Numbers, `true`, `false` and `null` of a callback may differ from the shipped ones; those of a logger may not.

    Args:
        config: of a run, with what was typed; what is shipped as `${run_dir}` becomes the present directory in it.
        before: the directory of the run when it was begun, as the run says.
        run_dir: the directory of the run.
        source: the name of the configuration in error messages.
        typed: the keys that were typed beside `run=`.
        trust: packages whose classes take any arguments.

    Raises:
        InputError: with what to type.
    """
    _check_trainer(config.get("trainer"), source)
    for group in GROUPS:
        shipped = _shipped(group)
        for name, node in _nodes(config, group, source).items():
            key, target = f"{group}.{name}", str(node.get("_target_"))
            if group in typed or key in typed:
                continue
            is_known = target in shipped or f"{key}._target_" in typed
            if not is_known and _is_trusted(group, name, node, source, trust):
                continue
            usual = shipped.get(target, {})
            for argument in [one for one in node if one != "_target_" and f"{key}.{one}" not in typed]:
                expected = usual.get(argument)
                if isinstance(expected, str) and node[argument] in _in_places(expected, (before, run_dir)):
                    node[argument] = expected.replace(RUN_DIR, run_dir)
                elif not _is_believed(argument, node[argument], usual, strict=group == "logger"):
                    raise _not_shipped(key, argument, node[argument], usual, source)


def _nodes(config: Node, group: str, source: str) -> dict[str, Node]:
    """The callbacks or loggers of a configuration, by name."""
    nodes = config.get(group) or {}
    if not isinstance(nodes, dict) or not all(isinstance(node, dict) for node in nodes.values()):
        raise InputError(f"{source}: {group} holds something other than {group} by name; restore the file")
    return nodes


def _is_trusted(group: str, name: str, node: Node, source: str, trust: Collection[str]) -> bool:
    """Whether a class that is not shipped takes any arguments: one of a trusted package, but not one of ours.

    Raises:
        InputError: for any other class.
    """
    check_targets({group: {name: node}}, source=source, trust=trust)
    target = str(node.get("_target_"))
    if is_within(target, trust):
        return True
    if not is_within(target, ("cdmtrain.callbacks",)):
        raise InputError(
            f"{source}: {group}.{name} is a {target}, which this program does not ship; to build it, type it again "
            f"beside run=: +{group}.{name}._target_={target}, and each of its arguments"
        )
    return False


def _in_places(shipped: str, run_dirs: Sequence[str]) -> list[str]:
    return [shipped.replace(RUN_DIR, run_dir) for run_dir in run_dirs]


def _not_shipped(key: str, argument: str, value: Any, usual: Mapping[str, Any], source: str) -> InputError:
    add = "" if argument in usual else "+"
    return InputError(
        f"{source}: {key}.{argument} is {value!r}, which is not what this program ships; to continue with it, type it "
        f"again beside run=: {add}{key}.{argument}=..."
    )


def _check_trainer(node: Any, source: str) -> None:
    """Refuse settings of the Trainer that no yaml file has: some open files, and some are objects."""
    known = {key for file in (CONF / "trainer").glob("*.yaml") for key in read_yaml(file)}
    settings = node if isinstance(node, dict) else {"": node}
    wrong = [key for key, value in settings.items() if key not in known or isinstance(value, dict)]
    if isinstance(devices := settings.get("devices"), int) and devices > MOST_DEVICES:
        wrong.append("devices")
    if wrong:
        raise InputError(
            f"{source}: trainer.{wrong[0]} is not a setting that this program ships; continue this run with the "
            "command that began it, and the same run_dir="
        )


def _shipped(group: str) -> dict[str, Node]:
    """The arguments in the yaml files of a group, by class."""
    contents = (read_yaml(file) for file in sorted((CONF / group).glob("*.yaml")))
    nodes = [node for content in contents for node in content.values() if isinstance(node, dict)]
    return {node["_target_"]: node for node in nodes}


def _is_believed(argument: str, value: Any, usual: Mapping[str, Any], *, strict: bool) -> bool:
    """Whether an argument is the shipped one or, unless `strict`, a number or the name of a metric."""
    if argument in usual and value == usual[argument] and type(value) is type(usual[argument]):
        return True
    if strict or argument.startswith("_"):
        return False
    is_metric = argument in METRIC_NAMES and isinstance(value, str) and WORD.fullmatch(value)
    return bool(is_metric or isinstance(value, bool | int | float | None))
