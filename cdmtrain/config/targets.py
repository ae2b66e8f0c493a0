"""Find the classes that a configuration names; a name that does not exist is answered with the nearest ones."""

import pkgutil
from collections.abc import Iterator
from difflib import get_close_matches
from importlib import import_module
from types import ModuleType
from typing import Any

from hydra.utils import get_class, get_object
from omegaconf import DictConfig, OmegaConf

from cdmtrain.errors import InputError


def find_class(cfg: DictConfig, key: str) -> type:
    """Return the class of the node at `key`, such as "model".

    Raises:
        InputError: where there is none of this name.
    """
    target = str(OmegaConf.select(cfg, key)._target_)
    check_target(key, target)
    return get_class(target)


def check_targets(cfg: DictConfig, key: str) -> None:
    """Refuse a class or function that does not exist, in the node at `key` and all nodes inside it."""
    for name, target in targets(key, OmegaConf.select(cfg, key)):
        check_target(name, target)


def check_target(key: str, target: str) -> None:
    """Refuse a class or function that does not exist; the error of a module that cannot be imported is raised as it is.

    Raises:
        InputError: with the nearest names.
    """
    module, rest = _deepest_module(target) if all(target.split(".")) else (None, [])
    if module is None or not rest:
        raise InputError(f"{key}._target_={target} does not exist; module.Class is expected")
    if hasattr(module, rest[0]):
        get_object(target)
        return
    names = [name for name in dir(module) if not name.startswith("_")]
    names += [found.name for found in pkgutil.iter_modules(getattr(module, "__path__", []))]
    near = [".".join([module.__name__, name, *rest[1:]]) for name in get_close_matches(rest[0], dict.fromkeys(names))]
    hint = f"did you mean {' or '.join(near)}?" if near else f"{module.__name__} has {', '.join(sorted({*names}))}"
    raise InputError(f"{key}._target_={target} does not exist; {hint}")


def _deepest_module(target: str) -> tuple[ModuleType | None, list[str]]:
    """Return the longest beginning of a dotted name that is a module, and the names after it."""
    module, names = None, target.split(".")
    for number in range(1, len(names) + 1):
        path = ".".join(names[:number])
        try:
            module = import_module(path)
        except ModuleNotFoundError as error:
            if not path.startswith(str(error.name)):  # a module exists, but imports another one that does not
                raise
            return module, names[number - 1 :]
    return module, []


def targets(key: str, node: Any) -> Iterator[tuple[str, str]]:
    """Yield the dotted key and the `_target_` of a node and of all nodes inside it."""
    if OmegaConf.is_dict(node):
        if isinstance(target := node.get("_target_"), str):
            yield key, target
        for name in node:
            yield from targets(f"{key}.{name}", node[name])
