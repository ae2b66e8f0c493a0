"""What the configuration of a run may build: a run may come from a stranger, and to build an object is to run code."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import lightning
import torch
import yaml
from hydra.utils import get_object
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import Logger
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from torch import nn

from cdmtrain.errors import InputError
from cdmtrain.runs.legacy import translate


class Part(NamedTuple):
    """What one node of a configuration, and every node inside it, may build."""

    base: type
    packages: tuple[str, ...]  # classes defined in these that derive from `base`
    own: tuple[str, ...] = ()  # any class defined in these, which are of this program


# torch_geometric's models and other corners load files and generate code
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
HOW = ("_target_", "_partial_", "_convert_", "_recursive_")  # of an object is built; Hydra also knows _args_


def read_config(run: Path) -> DictConfig:
    """The configuration that a run directory came with, checked; nothing of it is built before.

    Raises:
        InputError: where there is none, it is none, or it would build what a run has no use for.
    """
    path = run / "config.yaml"
    if not path.is_file():
        raise InputError(f"run={run}: there is no config.yaml in it; give the directory of a run")
    try:
        cfg = OmegaConf.load(path)
    except (yaml.YAMLError, UnicodeDecodeError, OmegaConfBaseException) as error:
        raise InputError(f"{path} is no configuration ({' '.join(str(error).split())}); restore it") from error
    absent = [name for name in ("data", "representation", "model") if name not in cfg]
    if not isinstance(cfg, DictConfig) or absent:
        raise InputError(f"{path} is not of a run; {' and '.join(absent)} are expected in it")
    plain = translate(OmegaConf.to_container(cfg))
    assert isinstance(plain, dict)
    cfg = OmegaConf.create(plain)
    check_targets(OmegaConf.to_container(cfg), source=str(path))
    cfg.run_dir = str(run)  # the directory may have been moved since
    return cfg


def check_targets(config: object, *, source: str) -> None:
    """Refuse a configuration that would build anything else than the parts of a run.

    Args:
        config: of a run as plain dictionaries, lists and values, resolved.
        source: what the sentence calls it.

    Raises:
        InputError: for a target outside PARTS, judged by what it really is and not by its name, for an interpolation
            (it could read the environment), and for arguments without a name. Nothing has been built then.
    """
    for path, node in _nodes((), config):
        if isinstance(node, str) and "${" in node:
            raise InputError(f"{source}: {'.'.join(path)} is {node!r}; a run's configuration is written resolved")
        if not isinstance(node, dict) or path[:1] in [(name,) for name in NEVER_BUILT]:
            continue
        if other := [key for key in node if str(key).startswith("_") and key not in HOW]:
            raise InputError(f"{source}: {'.'.join((*path, str(other[0])))} is not of a run's configuration")
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
    part = next((PARTS[name] for name in _names(path) if name in PARTS), None)
    if part is None or not _is_part(target, part):
        allowed = f"a {part.base.__name__} of {' or '.join(part.packages)}" if part else "nothing"
        raise InputError(
            f"{source}: {'.'.join(path)} would build {target}, and a run, which may come from a stranger, may build "
            f"{allowed} there; if you trust it, train by a configuration of your own"
        )


def _names(path: tuple[str, ...]) -> Iterator[str]:
    """The dotted names of a node and of those it lies in, the nearest first."""
    return (".".join(path[:length]) for length in range(len(path), 0, -1))


def _is_part(target: object, part: Part) -> bool:
    """Whether the target is, by its name and in truth, a class that the part may be."""
    named = tuple(".".join(package.split(".")[:2]) for package in (*part.packages, *part.own))
    if not isinstance(target, str) or not _within(target, named):  # nothing else is even imported
        return False
    try:
        found = get_object(target)
    except Exception:  # whatever a module raises when it is imported
        return False
    if not isinstance(found, type):
        return False
    module = found.__module__
    return _within(module, part.own) or (_within(module, part.packages) and issubclass(found, part.base))


def _within(name: str, packages: tuple[str, ...]) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)
