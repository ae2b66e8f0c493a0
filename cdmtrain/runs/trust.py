"""Decide which classes the configuration of a run may build: runs come from strangers, and building runs code."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import lightning
import torch
from hydra.utils import get_object
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import Logger
from omegaconf import DictConfig, OmegaConf
from torch import nn

from cdmtrain.errors import InputError
from cdmtrain.runs import files
from cdmtrain.runs.legacy import translate
from cdmtrain.runs.read import read_yaml_text, yaml_errors


class Part(NamedTuple):
    """The classes that one node of a configuration, and every node inside it, may build."""

    base: type
    packages: tuple[str, ...]  # classes defined in these packages that derive from `base`
    own: tuple[str, ...] = ()  # any class defined in these packages of cdmtrain


# not all of torch_geometric.nn: some of it loads files and generates code
LAYERS = ("torch.nn", *(f"torch_geometric.nn.{kind}" for kind in ("aggr", "conv", "dense", "norm", "pool")))

PARTS = {
    "data": Part(lightning.LightningDataModule, ("cdmtrain.data",)),
    "data.split": Part(object, ("cdmtrain.data.split",)),
    "data.simulation": Part(object, ("cdmtrain.simulation",)),
    "simulation": Part(object, ("cdmtrain.simulation",)),
    "augmentation": Part(object, ("cdmtrain.augmentation",)),
    "representation": Part(nn.Module, ("cdmtrain.representation",), own=("cdmtrain.representation",)),
    "model": Part(nn.Module, ("cdmtrain.model", *LAYERS), own=("cdmtrain.model",)),
    "loss": Part(nn.Module, ("cdmtrain", "torch.nn")),
    "optimizer": Part(torch.optim.Optimizer, ("cdmtrain", "torch.optim")),
    "scheduler": Part(torch.optim.lr_scheduler.LRScheduler, ("cdmtrain", "torch.optim.lr_scheduler")),
    "trainer": Part(lightning.Trainer, ("cdmtrain", "lightning")),
    "callbacks": Part(Callback, ("cdmtrain", "lightning.pytorch.callbacks")),
    "logger": Part(Logger, ("cdmtrain", "lightning.pytorch.loggers")),
}
NEVER_BUILT = ("task", "run", "run_dir", "sweep", "print_config")
ALLOWED_KEYS = ("_target_", "_partial_", "_convert_", "_recursive_")  # Hydra has _args_ too, which we never write


def read_config(run: Path) -> DictConfig:
    """Read the configuration in a run directory, checked before anything is built from it.

    Raises:
        InputError: where there is none, it is damaged, or it would build something that is not part of a run.
    """
    path = run / files.CONFIG
    text = read_yaml_text(path)
    if text is None:
        raise InputError(f"run={run}: there is no {files.CONFIG} in it; give the directory of a run")
    with yaml_errors(path):
        config = translate(OmegaConf.to_container(OmegaConf.create(text)))
    keys = config if isinstance(config, dict) else {}
    absent = [name for name in ("data", "representation", "model") if name not in keys]
    if absent:
        raise InputError(f"{path} is not the configuration of a run; it has no {' and no '.join(absent)}")
    check_targets(config, source=str(path))
    cfg = OmegaConf.create(config)
    cfg.run_dir = str(run)  # the directory may have been moved since
    return cfg


def check_targets(config: object, *, source: str) -> None:
    """Refuse a configuration that would build anything but the parts of a run.

    A class is judged by the module that defines it, not by the name it goes by: `logging.os.system` is `os.system`.

    Args:
        config: of a run, resolved, as plain dictionaries, lists and values.
        source: its name in error messages.

    Raises:
        InputError: for a target outside PARTS, an interpolation (it could read the environment), or unnamed arguments.
            Nothing has been built then.
    """
    for path, node in _nodes((), config):
        if isinstance(node, str) and "${" in node:
            raise InputError(f"{source}: {'.'.join(path)} is {node!r}; the configuration of a run is written resolved")
        if not isinstance(node, dict) or path[:1] in [(name,) for name in NEVER_BUILT]:
            continue
        if other := [key for key in node if str(key).startswith("_") and key not in ALLOWED_KEYS]:
            raise InputError(f"{source}: {'.'.join((*path, str(other[0])))} is not a key of a run's configuration")
        if "_target_" in node:
            _check_target(path, node["_target_"], source)


def _nodes(path: tuple[str, ...], node: object) -> Iterator[tuple[tuple[str, ...], object]]:
    """Every key and value of a nested configuration, each under its path."""
    yield path, node
    inner = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in inner:
        yield (*path, str(key)), str(key)
        yield from _nodes((*path, str(key)), value)


def _check_target(path: tuple[str, ...], target: object, source: str) -> None:
    if target == "torch.tensor" and len(path) > 1:  # numbers, such as the weights of a loss
        return
    names = (".".join(path[:length]) for length in range(len(path), 0, -1))  # of it and around it, the innermost first
    part = next((PARTS[name] for name in names if name in PARTS), None)
    if part is None or not _is_part(target, part):
        raise InputError(
            f"{source}: this run uses {target} for {'.'.join(path)}, which is not part of cdmtrain there; build the "
            "class yourself and load the state_dict of the run's checkpoint"
        )


def _is_part(target: object, part: Part) -> bool:
    """Whether the target is, by its name and by its definition, a class that the part may be."""
    named = tuple(".".join(package.split(".")[:2]) for package in (*part.packages, *part.own))
    if not isinstance(target, str) or not _within(target, named):  # other modules are not even imported
        return False
    try:
        found = get_object(target)
    except Exception:  # a module may raise anything when it is imported
        return False
    if not isinstance(found, type):
        return False
    module = found.__module__
    return _within(module, part.own) or (_within(module, part.packages) and issubclass(found, part.base))


def _within(name: str, packages: tuple[str, ...]) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)
