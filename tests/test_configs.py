"""Every shipped yaml: its first line is a command that works, and what it describes can be built."""

import functools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from hydra import compose, initialize_config_module
from hydra.utils import get_object, instantiate
from omegaconf import DictConfig, OmegaConf

import cdmtrain.cli  # registers the resolver that the configuration uses
import cdmtrain.conf

CONF = Path(cdmtrain.conf.__file__).parent
FILES = sorted(CONF.rglob("*.yaml"))


def group(file: Path) -> str:
    return file.parent.relative_to(CONF).as_posix()


def files_of(*groups: str) -> list[Any]:
    return [pytest.param(file, id=str(file.relative_to(CONF))) for file in FILES if group(file) in groups]


every_file = pytest.mark.parametrize("file", [pytest.param(file, id=str(file.relative_to(CONF))) for file in FILES])


def words(file: Path) -> tuple[str, ...]:
    """What follows `cdmtrain` in the command of the first comment, up to the colon before its explanation."""
    first, second, *_ = [*file.read_text("utf-8").splitlines(), ""]
    line = second if first.startswith("# @package ") else first
    match = re.fullmatch(r"# cdmtrain((?: \S+?)*)(?:: .+)?", line)
    assert match, f"{file} begins with {line!r}, not with '# cdmtrain <overrides>: what it is for'"
    return tuple(re.sub(r"=([^\[,]+),.*", r"=\1", word) for word in match[1].split() if word != "-m")  # of one job


@functools.cache
def composed(*overrides: str) -> DictConfig:
    with initialize_config_module("cdmtrain.conf", version_base="1.3"):
        return compose("config", overrides=list(overrides), return_hydra_config=True)


def options(cfg: DictConfig, group: str) -> list[str]:
    """The options chosen for a group; where they are a list, Hydra has them in what was typed only."""
    if group in cfg.hydra.runtime.choices:
        return [cfg.hydra.runtime.choices[group]]
    typed = dict(word.split("=", 1) for word in cfg.hydra.overrides.task)
    return typed[group].strip("[]").split(",")


def values(node: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Every scalar of a nested configuration with its own key."""
    if isinstance(node, dict):
        for name, child in node.items():
            yield from values(child, name)
    elif isinstance(node, list):
        for child in node:
            yield from values(child, key)
    else:
        yield key, node


@every_file
def test_command_of_the_first_line_composes_and_chooses_the_file(file):
    cfg = composed(*words(file))
    assert file.parent == CONF or file.stem in options(cfg, group(file))


@every_file
def test_targets_exist(file):
    for key, value in values(yaml.safe_load(file.read_text("utf-8"))):
        assert key != "_target_" or get_object(value)


@every_file
def test_no_path_is_absolute(file):
    for key, value in values(yaml.safe_load(file.read_text("utf-8"))):
        place = (
            str(value).removeprefix("https://").removeprefix("sqlite:///")
        )  # what follows is relative, unless it begins with one more slash
        assert not re.search(r"(^|[:=,\[])([/~\\]|[A-Za-z]:\\)", place), f"{key}: {value}"


PARTS = ("scale", "features", "edge_features", "neighbours", "order")


@pytest.mark.parametrize(
    "file",
    files_of("representation", "augmentation", "model", "callbacks", *(f"representation/{part}" for part in PARTS)),
)
def test_objects_are_built(file):
    part = OmegaConf.select(composed(*words(file)), group(file).replace("/", "."))
    built = instantiate(part)
    if "_target_" in part:
        assert isinstance(built, get_object(part._target_))
    else:  # several, by name
        assert all(isinstance(built[name], get_object(entry._target_)) for name, entry in part.items())


@pytest.mark.parametrize("file", files_of("optimizer"))
def test_optimizer_takes_parameters(file):
    optimizer = instantiate(composed(*words(file)).optimizer)([torch.nn.Parameter(torch.zeros(1))])
    assert isinstance(optimizer, torch.optim.Optimizer)


@pytest.mark.parametrize("file", [param for param in files_of("scheduler") if "none" not in param.id])
def test_scheduler_takes_an_optimizer_and_the_number_of_steps(file):
    settings = composed(*words(file)).scheduler
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    num_steps = {settings.num_steps_argument: 10} if settings.num_steps_argument else {}
    scheduler = instantiate(settings.scheduler)(optimizer, **num_steps)
    assert isinstance(scheduler, torch.optim.lr_scheduler.LRScheduler)
