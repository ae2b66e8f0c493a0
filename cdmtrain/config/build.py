"""Build the objects of a configuration; a value that a class cannot use ends in a sentence that names its node."""

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import metadata
from pathlib import Path
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from cdmtrain.config.own_code import explain_own
from cdmtrain.config.targets import check_arguments, check_targets
from cdmtrain.errors import InputError

DETAILS = "(HYDRA_FULL_ERROR=1 shows where)"
BAD_VALUE = (TypeError, ValueError, RuntimeError, ArithmeticError)  # from classes that are given a wrong value
OWN_SENTENCE = ("InputError", "OutOfMemoryError")


def build(cfg: DictConfig, key: str, **arguments: Any) -> Any:
    """Instantiate the node at `key`, such as "optimizer" or "callbacks.checkpoint".

    Args:
        cfg: the whole configuration.
        key: dotted; a node with `_partial_: true` gives a function, whose errors name the node too.
        arguments: given to the class beside those of the node.

    Raises:
        InputError: "optimizer: <what the class says>", or for a class that does not exist.
    """
    with naming(key):
        check_targets(cfg, key)
        check_arguments(cfg, key)
        made = instantiate(OmegaConf.select(cfg, key), **arguments)
    if OmegaConf.is_config(made):
        return {name: _guarded(value, key) for name, value in made.items()}
    return _guarded(made, key)


def build_each(cfg: DictConfig, key: str) -> list[Any]:
    """The objects of a node that holds several by name, such as "callbacks"."""
    return [build(cfg, f"{key}.{name}") for name in OmegaConf.select(cfg, key) or {}]


def _guarded(made: Any, key: str) -> Any:
    if not isinstance(made, functools.partial):
        return made

    def call(*arguments: Any, **named: Any) -> Any:
        with naming(key):
            return made(*arguments, **named)

    return call


@contextmanager
def naming(key: str) -> Iterator[None]:
    """Turn what a class raises about its values into an InputError that names the node."""
    try:
        yield
    except Exception as error:
        cause: BaseException = error
        while isinstance(cause, InstantiationException) and cause.__cause__ is not None:
            cause = cause.__cause__
        own = explain_own(cause) if isinstance(cause, BAD_VALUE) else None
        if type(cause).__name__ in OWN_SENTENCE or not (sentence := own or _sentence(key, cause)):
            raise cause from (None if cause is error else error)
        raise InputError(sentence) from error


@contextmanager
def recorded(source: Path) -> Iterator[None]:
    """Turn whatever a recorded configuration makes a class raise into an InputError that names its file."""
    try:
        yield
    except Exception as error:
        if type(error).__name__ in OWN_SENTENCE or isinstance(error, OSError):
            raise
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise InputError(f"{source} cannot be built ({reason}) {DETAILS}") from error


def _sentence(key: str, cause: BaseException) -> str | None:
    """None for a fault of the program, and for what a disk or a path does."""
    if isinstance(cause, ModuleNotFoundError):
        extra = missing_extra(f"{cause.name} {key}")
        return extra and f"{key.replace('.', '=', 1)} needs {extra}: pip install 'cdmtrain[{extra}]'"
    bad = isinstance(cause, (*BAD_VALUE, InstantiationException))
    if bad or type(cause).__name__ == "MisconfigurationException":  # Lightning's
        return f"{key}: {' '.join(str(cause).split())} {DETAILS}"
    return None


def missing_extra(names: str) -> str | None:
    """The optional dependency of this package that is among some names."""
    words = names.replace(".", " ").split()
    return next((extra for extra in metadata("cdmtrain").get_all("Provides-Extra") or [] if extra in words), None)
