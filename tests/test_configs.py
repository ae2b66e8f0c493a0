"""The yaml files that ship with the program: their commands work, and what they describe can be built."""

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

import cdmtrain
import cdmtrain.conf

CONF = Path(cdmtrain.conf.__file__).parent
FILES = sorted(CONF.rglob("*.yaml"))


def group(file: Path) -> str:
    return file.parent.relative_to(CONF).as_posix()


def content(file: Path) -> dict[str, Any]:
    return yaml.safe_load(file.read_text("utf-8")) or {}


def leaves(node: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Every scalar of a nested configuration with its dotted key; lists count as one value."""
    if isinstance(node, dict):
        for name, child in node.items():
            yield from leaves(child, f"{key}.{name}" if key else name)
    else:
        yield key, node


def targets(file: Path) -> list[str]:
    return [str(value) for key, value in leaves(content(file)) if key.rpartition(".")[2] == "_target_"]


def each(*files: Path) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("file", [pytest.param(file, id=str(file.relative_to(CONF))) for file in files])


def of_groups(*groups: str) -> list[Path]:
    return [file for file in FILES if group(file) in groups]


def header(file: Path) -> tuple[str, ...]:
    """The overrides of the first comment, `# cdmtrain <overrides>: <what it is>`; for a sweep those of one job."""
    lines = file.read_text("utf-8").splitlines()
    line = lines[1] if lines[0].startswith("# @package ") else lines[0]
    match = re.fullmatch(r"# cdmtrain((?: \S+?)*): .+", line)
    assert match, f"{file} begins with {line!r}, not with '# cdmtrain <overrides>: <what it is>'"
    return tuple(re.sub(r"=([^\[,]+),.*", r"=\1", word) for word in match[1].split() if word != "-m")


@functools.cache
def composed(*overrides: str) -> DictConfig:
    with initialize_config_module("cdmtrain.conf", version_base="1.3"):
        return compose("config", overrides=list(overrides), return_hydra_config=True)


def chosen(cfg: DictConfig, group: str) -> list[str]:
    """The options chosen for a group; Hydra records a list of options only among the overrides."""
    if group in cfg.hydra.runtime.choices:
        return [cfg.hydra.runtime.choices[group]]
    typed = dict(word.split("=", 1) for word in cfg.hydra.overrides.task)
    return typed[group].strip("[]").split(",")


@each(*FILES)
def test_the_command_in_the_first_line_composes_and_chooses_the_file(file: Path) -> None:
    cfg = composed(*header(file))
    assert file.parent == CONF or file.stem in chosen(cfg, group(file))


@each(*(file for file in FILES if targets(file)))
def test_every_target_exists(file: Path) -> None:
    assert all(callable(get_object(target)) for target in targets(file) if target != "???")


def test_no_path_is_absolute() -> None:
    absolute = re.compile(r"(^|[:=,\[])([/~\\]|[A-Za-z]:\\)")
    assert absolute.search("/data/a.h5")
    values = [(file.name, str(value)) for file in FILES for _, value in leaves(content(file))]
    relative = [(name, value.removeprefix("https://").removeprefix("sqlite:///")) for name, value in values]
    assert [pair for pair in relative if absolute.search(pair[1])] == []


def test_every_group_is_in_the_table_of_contents() -> None:
    groups = {name for entry in content(CONF / "config.yaml")["defaults"] if isinstance(entry, dict) for name in entry}
    assert groups - {"override hydra/job_logging"} == {path.name for path in CONF.iterdir() if any(path.glob("*.yaml"))}


KINDS = ("scale", "features", "edge_features", "event_features", "neighbours", "order")
PARTS = [f"representation/{kind}" for kind in KINDS]
BUILT = of_groups("representation", "augmentation", "model", "loss", "callbacks", "simulation", *PARTS)


@each(*(file for file in BUILT if targets(file) and "???" not in file.read_text()))
def test_an_object_of_every_target_can_be_built(file: Path) -> None:
    part = OmegaConf.select(composed(*header(file)), group(file).replace("/", "."))
    built = instantiate(part)
    if "_target_" in part:
        assert isinstance(built, get_object(part._target_))
    else:  # several objects by name
        assert all(isinstance(built[name], get_object(entry._target_)) for name, entry in part.items())


@each(*of_groups("optimizer"))
def test_an_optimizer_takes_parameters(file: Path) -> None:
    optimizer = instantiate(composed(*header(file)).optimizer)([torch.nn.Parameter(torch.zeros(1))])
    assert isinstance(optimizer, torch.optim.Optimizer)


@each(*(file for file in of_groups("scheduler") if targets(file)))
def test_a_scheduler_takes_an_optimizer_and_the_number_of_steps(file: Path) -> None:
    settings = composed(*header(file)).scheduler
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    num_steps = {settings.num_steps_argument: 10} if settings.num_steps_argument else {}
    scheduler = instantiate(settings.scheduler)(optimizer, **num_steps)
    assert isinstance(scheduler, torch.optim.lr_scheduler.LRScheduler)


@each(*of_groups("experiment"))
def test_typed_words_win_over_an_experiment_and_its_recipe(file: Path) -> None:
    typed = ("data=hdf5", "augmentation=shifts", "optimizer=sgd", "scheduler=cosine", "data.batch_size=7")
    cfg = composed(f"experiment={file.stem}", *typed)
    assert (cfg.hydra.runtime.choices.data, cfg.data.batch_size) == ("hdf5", 7)
    assert list(cfg.augmentation) == ["shifts"]
    assert cfg.optimizer._target_ == "torch.optim.SGD"
    assert cfg.scheduler.scheduler._target_ == "torch.optim.lr_scheduler.CosineAnnealingLR"


def settings(file: Path) -> dict[str, Any]:
    """The values that a file sets, without its choices."""
    return {key: value for key, value in leaves(content(file)) if key != "defaults"}


@each(*of_groups("experiment"))
def test_an_experiment_does_not_repeat_what_its_recipe_says(file: Path) -> None:
    recipe = composed(*header(file)).hydra.runtime.choices.recipe
    shared = settings(CONF / "recipe" / f"{recipe}.yaml") if recipe else {}
    assert {key: value for key, value in settings(file).items() if (key, value) in shared.items()} == {}


@each(*of_groups("experiment"))
def test_every_experiment_of_a_kind_has_the_recipe_of_its_kind(file: Path) -> None:
    recipe = composed(*header(file)).hydra.runtime.choices.recipe
    kind = file.stem.partition("_")[0]
    assert (
        recipe is None if kind == "challenge" else recipe.startswith({"best": "zoo", "shipped": "zoo"}.get(kind, kind))
    )


def test_an_experiment_can_choose_and_set_every_group(tmp_path: Path) -> None:
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "noisy.yaml").write_text(
        "# @package _global_\ndefaults:\n"
        "  - override /simulation: realistic\n  - override /task: inspect\n  - override /logger: tensorboard\n"
        "  - _self_\nsimulation:\n  noise_mev: 0.07\nloss:\n  label_smoothing: 0.2\nexamples: 3\n"
    )
    with initialize_config_module("cdmtrain.conf", version_base="1.3"):
        cfg = compose("config", [f"hydra.searchpath=[{tmp_path}]", "experiment=noisy"])
    assert (cfg.simulation.noise_mev, cfg.simulation.diffusion_cm) == (0.07, 0.1)
    assert (cfg.loss.label_smoothing, cfg.examples) == (0.2, 3)
    assert "tensorboard" in cfg.logger


def test_the_loss_is_smoothed_and_weighted_by_its_keys_alone() -> None:
    cfg = composed("loss.label_smoothing=0.1", "loss.class_weights=[2,1,2,1]")
    loss = instantiate(cfg.loss)
    assert loss.label_smoothing == 0.1
    assert loss.weight.tolist() == [2, 1, 2, 1]


@pytest.mark.parametrize(
    ("metric", "mode"),
    [
        ("val_loss", "min"),
        ("val_cross_entropy", "min"),
        ("val_calibration_error", "min"),
        ("val_accuracy", "max"),
        ("val_macro_f1", "max"),
        ("val_muon_efficiency", "max"),
        ("val_electron_photon_auc", "max"),
    ],
)
def test_whether_less_or_more_is_better_follows_from_the_metric(metric: str, mode: str) -> None:
    words = ["callbacks=early_stopping", "scheduler=plateau", f"callbacks.checkpoint.monitor={metric}"]
    words += [f"callbacks.early_stopping.monitor={metric}", f"scheduler.monitor={metric}"]
    with initialize_config_module("cdmtrain.conf", version_base="1.3"):
        cfg = compose("config", words)
    found = (cfg.callbacks.checkpoint.mode, cfg.callbacks.early_stopping.mode, cfg.scheduler.scheduler.mode)
    assert found == (mode, mode, mode)
