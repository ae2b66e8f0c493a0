"""Decide which classes the configuration of a run may build: runs come from strangers, and building runs code."""

import os
import pkgutil
import sys
from collections.abc import Collection, Iterator
from importlib.util import find_spec
from pathlib import Path
from types import FunctionType
from typing import Any, NamedTuple, get_type_hints

import lightning
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import Logger
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from torch import nn

from cdmtrain.config.roots import make_importable, user_modules
from cdmtrain.errors import InputError
from cdmtrain.runs import files
from cdmtrain.runs.check import check, wrong
from cdmtrain.runs.config_file import read_config_file
from cdmtrain.runs.legacy import translate
from cdmtrain.runs.read import read_provenance

TRUST_ENV = "CDMTRAIN_TRUST"  # packages, separated by commas


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
    "objective": Part(nn.Module, ("cdmtrain.pretraining",)),
    "optimizer": Part(torch.optim.Optimizer, ("cdmtrain", "torch.optim")),
    "scheduler": Part(torch.optim.lr_scheduler.LRScheduler, ("cdmtrain", "torch.optim.lr_scheduler")),
    "trainer": Part(lightning.Trainer, ("cdmtrain", "lightning")),
    "callbacks": Part(Callback, ("cdmtrain.callbacks", "lightning.pytorch.callbacks")),
    "logger": Part(Logger, ("cdmtrain.callbacks", "lightning.pytorch.loggers")),
}
OPENED = ("data", "representation", "model", "loss")  # what opening a run builds
LARGEST_NUMBER = 2**32  # what numpy takes as a seed
NEVER_BUILT = [(name,) for name in ("task", "run", "run_dir", "sweep", "launch", "print_config")]
PROGRAM = ("cdmtrain", "torch", "torch_geometric", "torchmetrics", "lightning", "hydra", "omegaconf")
ALLOWED_KEYS = ("_target_", "_partial_", "_convert_", "_recursive_")  # Hydra has _args_ too, which we never write


def trusted(words: Any = None) -> tuple[str, ...]:
    """The packages whose classes a run may build: those of `trust=`, a word or several, and of CDMTRAIN_TRUST.

    What the user has named or installed is trusted too: the modules of `--config-dir=`, and extensions of this program.
    Nobody has to trust the standard library: its classes start processes.
    """
    typed = [words] if isinstance(words, str) else list(words or ())
    names = (*map(str, typed), *os.environ.get(TRUST_ENV, "").split(","), *sorted(user_modules()))
    return tuple(name for name in names if name and name.partition(".")[0] not in sys.stdlib_module_names)


def read_config(run: Path, *, trust: Collection[str] = (), parts: Collection[str] = OPENED) -> DictConfig:
    """Read the configuration in a run directory, checked before anything is built from it.

    Args:
        run: the directory.
        trust: packages whose classes it may build beside those of this program.
        parts: its nodes that are going to be built; the others may hold anything.

    Raises:
        InputError: where there is none, it is damaged, or it would build something that is not part of a run.
    """
    path = run / files.CONFIG
    content = read_config_file(run)
    if content is None:
        raise InputError(f"run={run}: there is no {files.CONFIG} in it; give the directory of a run")
    absent = [name for name in ("data", "representation", "model") if not isinstance(content.get(name), dict)]
    if absent:
        raise InputError(f"{path} is not the configuration of a run; it has no {' and no '.join(absent)}")
    content = translate(content)
    _check_values(content, str(path), parts)
    _look_in_recorded_dirs(run, trust)
    check_targets(content, source=str(path), trust=trust, parts=parts)
    try:
        cfg = OmegaConf.create(content)
    except OmegaConfBaseException as error:
        raise InputError(f"{path} is not the configuration of a run ({error})") from error
    cfg.run_dir = str(run)  # the directory may have been moved since
    return cfg


def _look_in_recorded_dirs(run: Path, trust: Collection[str]) -> None:
    """Let trusted modules be imported from the directories of the user that the run was begun with.

    A stranger may have recorded them, so a directory is used only if it has a module that the user trusts by name, and
    that cannot be imported from anywhere else.
    """
    names = {name.partition(".")[0] for name in trust}
    absent = [name for name in names if name not in sys.modules and find_spec(name) is None]
    if absent:
        folders = [Path(one) for one in read_provenance(run).config_dirs if Path(one).is_absolute()]
        make_importable([one for one in folders if any(_has_module(one, name) for name in absent)])


def _has_module(folder: Path, name: str) -> bool:
    return (folder / f"{name}.py").is_file() or (folder / name / "__init__.py").is_file()


def _check_values(content: dict[str, Any], source: str, parts: Collection[str]) -> None:
    """Refuse a configuration whose nodes are no mappings, or whose numbers are none: the program reads them by name."""
    nodes = [*OPENED, *(("optimizer", "trainer", "callbacks") if "trainer" in parts else ())]
    for name in nodes:
        check(content.get(name), dict[str, Any], f"{source}: {name}")
    for name in ("scheduler", "augmentation", "logger", "objective", "probe") if "trainer" in parts else ():
        check(content.get(name), dict[str, Any] | None, f"{source}: {name}")
    seed, data = content.get("seed"), content["data"]
    numbers = {"seed": (seed, 0), **{f"data.{name}": (data.get(name), 1) for name in ("image_size", "batch_size")}}
    for name, (value, least) in numbers.items():
        if type(value) is not int or not least <= value < LARGEST_NUMBER:
            raise wrong(f"{source}: {name}", value, f"a whole number from {least} on")


def check_targets(
    config: object, *, source: str, trust: Collection[str] = (), parts: Collection[str] | None = None
) -> None:
    """Refuse a configuration that would build anything but the parts of a run.

    A class is judged by the module that defines it, not by the name it goes by: `logging.os.system` is `os.system`.

    Args:
        config: of a run, resolved, as plain dictionaries, lists and values.
        source: its name in error messages.
        trust: packages whose classes may be built.
        parts: its nodes that are checked; None for all.

    Raises:
        InputError: for a target outside PARTS, an interpolation (it could read the environment), or unnamed arguments.
            Nothing has been built then.
    """
    for path, node in _nodes((), config):
        if isinstance(node, str) and "${" in node:
            raise InputError(f"{source}: {'.'.join(path)} is {node!r}; the configuration of a run is written resolved")
        is_built = path[:1] not in NEVER_BUILT if parts is None else path and path[0] in parts
        if not isinstance(node, dict) or not is_built:
            continue
        if other := [key for key in node if str(key).startswith("_") and key not in ALLOWED_KEYS]:
            raise InputError(f"{source}: {'.'.join((*path, str(other[0])))} is not a key of a run's configuration")
        if "_target_" in node:
            _check_target(path, node["_target_"], source, trust)


def _nodes(path: tuple[str, ...], node: object) -> Iterator[tuple[tuple[str, ...], object]]:
    """Every key and value of a nested configuration, each under its path."""
    yield path, node
    inner = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in inner:
        yield (*path, str(key)), str(key)
        yield from _nodes((*path, str(key)), value)


def _check_target(path: tuple[str, ...], target: object, source: str, trust: Collection[str]) -> None:
    if target == "torch.tensor" and len(path) > 1:  # numbers, such as the weights of a loss
        return
    names = (".".join(path[:length]) for length in range(len(path), 0, -1))  # of it and around it, the innermost first
    part = next((PARTS[name] for name in names if name in PARTS), None)
    if part is None or not isinstance(target, str):
        raise InputError(f"{source}: {'.'.join(path)} builds {target}, which is not part of a run")
    found = _found(target, (*_tops(part), *trust))
    if isinstance(found, type) and (_is_part(found, part) or is_within(found.__module__, trust)):
        return
    is_trusted = found is not None and is_within(str(found.__module__), trust)
    if path == ("model", "module") and is_trusted and _makes_network(found):
        return
    package = (str(found.__module__) if found and is_within(target, trust) else target).partition(".")[0]
    if is_within(target, PROGRAM) or package in sys.stdlib_module_names:
        reason = f" for {'.'.join(path)}, which no run may build there"
    elif package == "__main__" or "<locals>" in target:
        reason = ", a class of a notebook or a script; open the run there: cdmtrain.load_run(path, model=...)"
    elif is_trusted:
        reason = ", a function; one that is trusted is called only as model.module, and if it says what it returns: "
        reason += "def make() -> nn.Module"
    elif is_within(target, trust) and found is None:
        reason = f" of the trusted package {package}, {_why_not_found(target)}"
    else:
        reason = f", which is not part of cdmtrain; if you trust it, add trust={package}"
    raise InputError(f"{source}: this run uses {target}{reason}")


def _tops(part: Part) -> tuple[str, ...]:
    """The packages that the classes of a part may be named by; no other is even imported."""
    return tuple(".".join(package.split(".")[:2]) for package in (*part.packages, *part.own))


def _makes_network(found: object) -> bool:
    """Whether a function says that it returns a network, as those of torchvision and timm do."""
    try:
        returned = get_type_hints(found).get("return")
    except (NameError, TypeError):  # of names that are not imported
        return False
    return isinstance(returned, type) and issubclass(returned, nn.Module)


def _found(target: str, packages: Collection[str]) -> type | FunctionType | None:
    """The class or function that a name leads to; None where it is neither, or is named by another package."""
    if not is_within(target, packages) or target.partition(".")[0] in sys.stdlib_module_names:
        return None
    try:
        found = pkgutil.resolve_name(target)
    except Exception:  # a module may raise anything when it is imported
        return None
    return found if isinstance(found, type | FunctionType) else None


def _why_not_found(target: str) -> str:
    """Why a trusted package does not have a class: an error of its module when it is imported, or there is none."""
    try:
        pkgutil.resolve_name(target)
    except Exception as error:
        is_absent = isinstance(error, AttributeError) and is_within(target, (getattr(error.obj, "__name__", ""),))
        if not is_absent and not (isinstance(error, ModuleNotFoundError) and is_within(target, (str(error.name),))):
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            return f"which cannot be imported here ({reason}); correct it, or install what it needs"
    return "which has no such class here; install it, or name the directory of its module with --config-dir="


def _is_part(found: type, part: Part) -> bool:
    """Whether a class is one that the part may be, by where it is defined."""
    module = found.__module__
    return is_within(module, part.own) or (is_within(module, part.packages) and issubclass(found, part.base))


def is_within(name: str, packages: Collection[str]) -> bool:
    """Whether a dotted name is one of the packages, or inside one."""
    return any(name == package or name.startswith(f"{package}.") for package in packages)
