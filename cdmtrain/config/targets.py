"""Find the classes that a configuration names; a name that does not exist is answered with the nearest ones."""

import pkgutil
from collections.abc import Iterator
from difflib import get_close_matches
from importlib import import_module
from inspect import signature
from types import ModuleType
from typing import Any

from hydra.utils import get_object
from omegaconf import DictConfig, OmegaConf

from cdmtrain.config import own_code
from cdmtrain.errors import InputError


def find_class(cfg: DictConfig, key: str) -> type:
    """Return the class of the node at `key`, such as "model".

    Raises:
        InputError: where there is none of this name.
    """
    target = str(OmegaConf.select(cfg, key)._target_)
    check_target(key, target)
    if not isinstance(found := get_object(target), type):
        as_module = f"; model=module model.module._target_={target} takes what it returns" if key == "model" else ""
        raise InputError(f"{key}._target_={target} is not a class{as_module}")
    return found


def check_targets(cfg: DictConfig, key: str) -> None:
    """Refuse a class or function that does not exist, in the node at `key` and all nodes inside it."""
    for name, target in targets(key, OmegaConf.select(cfg, key)):
        check_target(name, target)


def check_target(key: str, target: str) -> None:
    """Refuse a class or function that does not exist; the error of a module that cannot be imported is raised as it is.

    Raises:
        InputError: with the nearest names.
    """
    own_code.remember(key, target)
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


def check_arguments(cfg: DictConfig, key: str) -> None:
    """Refuse keys of a node that its class or function does not take, as far as its signature tells.

    Raises:
        InputError: with what it takes.
    """
    node = OmegaConf.select(cfg, key)
    if not OmegaConf.is_dict(node) or not isinstance(target := node.get("_target_"), str):
        return
    try:
        parameters = signature(get_object(target)).parameters
    except (TypeError, ValueError):  # built in, or no function
        return
    unknown = [str(name) for name in node if not str(name).startswith("_") and name not in parameters]
    if unknown and not any(one.kind is one.VAR_KEYWORD for one in parameters.values()):
        raise InputError(
            f"{key}: {target.rpartition('.')[2]} takes {', '.join(parameters)}, and not {', '.join(unknown)}; another "
            "class needs an option with its own keys (docs/your_model.md)"
        )


def with_num_classes(cfg: DictConfig, num_classes: int) -> DictConfig:
    """Give a network `num_classes` where its constructor takes it and the configuration does not set it."""
    given = cfg.copy()
    for key in ("model", "model.module"):
        node = OmegaConf.select(cfg, key)
        if OmegaConf.is_dict(node) and isinstance(target := node.get("_target_"), str) and "num_classes" not in node:
            check_target(key, target)
            if "num_classes" in signature(get_object(target)).parameters:
                OmegaConf.update(given, f"{key}.num_classes", num_classes, force_add=True)
    return given


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
