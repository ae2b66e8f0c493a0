"""A run from a stranger runs nothing: neither its configuration nor its checkpoints."""

import copy
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from hydra import compose, initialize_config_module
from omegaconf import OmegaConf

import cdmtrain.cli  # registers the resolver that the configuration uses
from cdmtrain import load_run
from cdmtrain.config.sources import CONF
from cdmtrain.errors import InputError
from cdmtrain.runs.trust import check_targets

Config = dict[str, Any]


@pytest.fixture(scope="module")
def own() -> Config:
    """The configuration of an ordinary run, resolved."""
    with initialize_config_module("cdmtrain.conf", version_base="1.3"):
        cfg = compose("config", ["model=perceptron", "data.image_size=8"])
    cfg.run_dir = "run"
    cfg.sweep.dir = "sweep"
    return OmegaConf.to_container(cfg, resolve=True)  # type: ignore[return-value]


def files() -> list[Path]:
    groups = ("task", "hydra", "search", "experiment")  # that no run records, or that only choose from the others
    return [file for file in sorted(CONF.rglob("*/*.yaml")) if file.relative_to(CONF).parts[0] not in groups]


@pytest.mark.parametrize("file", files(), ids=lambda file: str(file.relative_to(CONF)))
def test_every_option_of_this_program_may_be_built(file: Path) -> None:
    text = file.read_text()
    content = yaml.safe_load(text.replace("${", "<")) or {}
    for group in () if "# @package _global_" in text else reversed(file.relative_to(CONF).parent.parts):
        content = {group: content}
    check_targets(content, source="config.yaml")


# what runs the command "touch <marker>", or would let a later part run it
COMMAND = "COMMAND"
CALLS: list[Config] = [
    {"_target_": "os.system", "_args_": [COMMAND]},
    {"_target_": "logging.os.system", "command": COMMAND},
    {"_target_": "posix.system", "command": COMMAND},
    {"_target_": "subprocess.check_output", "args": COMMAND, "shell": True},
    {"_target_": "subprocess.Popen", "args": COMMAND, "shell": True},
    {"_target_": "builtins.eval", "_args_": [f"__import__('os').system('{COMMAND}')"]},
    {"_target_": "builtins.exec", "_args_": [f"__import__('os').system('{COMMAND}')"]},
    {"_target_": "builtins.__import__", "name": "antigravity"},
    {"_target_": "importlib.import_module", "name": "antigravity"},
    {"_target_": "runpy.run_path", "path_name": "evil.py"},
    {"_target_": "evil.Evil"},
    {"_target_": "evil"},
    {"_target_": "pickle.loads", "_args_": ["x"]},
    {"_target_": "functools.partial", "_args_": [{"_target_": "hydra.utils.get_method", "path": "os.system"}, COMMAND]},
    {"_target_": "hydra.utils.get_method", "path": "os.system"},
    {"_target_": "hydra.utils.instantiate", "config": {"_target_": "os.system", "_args_": [COMMAND]}},
    {"_target_": "hydra.utils.call", "config": {"_target_": "os.system", "_args_": [COMMAND]}},
    {"_target_": "omegaconf.OmegaConf.load", "file_": "evil.yaml"},
    {"_target_": "torch.os.system", "command": COMMAND},
    {"_target_": "torch.optim.adam.torch.os.system", "command": COMMAND},
    {"_target_": "torch.nn.modules.module.functools.partial", "_args_": ["x"]},
    {"_target_": "torch.nn.modules.module.torch.load", "f": "evil.pt", "weights_only": False},
    {"_target_": "torch.load", "f": "evil.pt", "weights_only": False},
    {"_target_": "torch.hub.load", "repo_or_dir": ".", "model": "evil", "source": "local"},
    {"_target_": "torch.utils.cpp_extension.load", "name": "evil", "sources": ["evil.cpp"]},
    {"_target_": "torch.utils.cpp_extension.load_inline", "name": "evil", "cpp_sources": "evil"},
    {"_target_": "torch.ops.load_library", "path": "evil.so"},
    {"_target_": "torch.classes.load_library", "path": "evil.so"},
    {"_target_": "torch.jit.load", "f": "evil.pt"},
    {"_target_": "torch.package.PackageImporter", "file_or_buffer": "evil.pt"},
    {"_target_": "torch.distributed.launcher.api.elastic_launch"},
    {"_target_": "torch.multiprocessing.spawn", "fn": {"_target_": "hydra.utils.get_method", "path": "os.system"}},
    {"_target_": "torch.serialization.pickle.loads", "_args_": ["x"]},
    {"_target_": "torch.optim.Adam.__init__.__globals__"},
    {"_target_": "torch_geometric.nn.Sequential", "input_args": "x", "modules": []},
    {"_target_": "torch_geometric.nn.models.SentenceTransformer", "model_name": "evil/evil"},
    {"_target_": "torch_geometric.template.module_from_template", "module_name": "x", "template_path": "evil"},
    {"_target_": "torchmetrics.text.BERTScore", "model_name_or_path": "evil/evil"},
    {"_target_": "lightning.pytorch.cli.LightningCLI"},
    {"_target_": "lightning.pytorch.callbacks.lambda_function.LambdaCallback"},
    {"_target_": "lightning.pytorch.os.system", "command": COMMAND},
    {"_target_": "lightning.fabric.utilities.cloud_io._load", "path_or_url": "evil.pt"},
    {"_target_": "cdmtrain.cli.os.system", "command": COMMAND},
    {"_target_": "cdmtrain.model.cnn.torch.os.system", "command": COMMAND},
    {"_target_": "cdmtrain.data.cache.shutil.rmtree", "path": "precious"},
    {"_target_": "cdmtrain.data.store.StoreWriter", "directory": "precious"},
    {"_target_": "cdmtrain.runs.provenance.subprocess.run", "args": COMMAND, "shell": True},
    {"_target_": "cdmtrain.tasks.train.instantiate", "config": {"_target_": "os.system", "_args_": [COMMAND]}},
    {"_target_": ["os.system"], "_args_": [COMMAND]},
    {"_target_": None},
    {"_target_": "${task._target_}"},
]
PLACES = ("model", "representation", "optimizer", "loss", "trainer", "data", "callbacks", "logger", "anything")
WAYS: dict[str, Callable[[Config], Any]] = {
    "itself": lambda call: call,
    "partial": lambda call: {**call, "_partial_": True},
    "inside": lambda call: {"inner": [[call]]},
}


def placed(own: Config, place: str, node: Any) -> Config:
    """The configuration with a node in a place, in a way that Hydra would build."""
    config = copy.deepcopy(own)
    if place in ("callbacks", "logger"):
        config[place] = {**config[place], "more": node}
    elif "_target_" not in node and place in config:
        config[place] = {**config[place], **node}
    else:
        config[place] = node
    return config


@pytest.mark.parametrize("call", CALLS, ids=lambda call: str(call["_target_"]))
@pytest.mark.parametrize("way", WAYS)
def test_a_configuration_may_not_build_anything_but_the_parts_of_a_run(own: Config, call: Config, way: str) -> None:
    imported = set(sys.modules)
    for place in PLACES:
        if place == "callbacks" and "LambdaCallback" in str(call["_target_"]):
            continue  # a callback it is; the functions it would call cannot be built
        with pytest.raises(InputError, match=r"config\.yaml"):
            check_targets(placed(own, place, WAYS[way](call)), source="config.yaml")
    assert not {"antigravity", "evil"} & (set(sys.modules) - imported)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("seed", "${oc.env:HOME}"),
        ("seed", "${oc.decode:'1'}"),
        ("seed", "${random:}"),
        ("${oc.env:HOME}", 1),
        ("model", {"_target_": "cdmtrain.model.perceptron.Perceptron", "image_size": "${data.image_size}"}),
        ("model", {"_target_": "cdmtrain.model.perceptron.Perceptron", "_args_": [8]}),
    ],
)
def test_interpolations_and_nameless_arguments_are_refused(own: Config, key: str, value: Any) -> None:
    with pytest.raises(InputError, match=r"config\.yaml"):
        check_targets({**own, key: value}, source="config.yaml")


def test_layers_scales_and_numbers_of_a_part_may_be_built(own: Config) -> None:
    inside = {"activation": {"_target_": "torch.nn.GELU"}, "pool": {"_target_": "torch_geometric.nn.MeanAggregation"}}
    loss = {"_target_": "torch.nn.CrossEntropyLoss", "weight": {"_target_": "torch.tensor", "data": [1, 1, 1, 2]}}
    check_targets({**own, "model": {**own["model"], **inside}, "loss": loss}, source="config.yaml")


@pytest.fixture
def stranger(own: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run directory whose parts are in order; changes to it are what a test is about."""
    monkeypatch.chdir(tmp_path)
    run = tmp_path / "stranger"
    (run / "checkpoints").mkdir(parents=True)
    (run / "config.yaml").write_text(yaml.safe_dump(own))
    linear = torch.nn.Linear(64, 4)
    state = {f"model.linear.{name}": value for name, value in linear.state_dict().items()}
    for name in ("best", "last"):
        torch.save({"state_dict": state}, run / f"checkpoints/{name}.ckpt")
    return run


def command(tmp_path: Path) -> str:
    return f"touch {tmp_path / 'marker'}"


def all_that_opens(run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """What each way to open a run says of it."""
    said = []
    with pytest.raises(InputError) as refused:
        load_run(run)
    said.append(str(refused.value))
    for words in ([f"run={run}"],):
        monkeypatch.setattr(sys, "argv", ["cdmtrain", *words, "print_config=false"])
        assert cdmtrain.cli.main() == 1
        said.append(capsys.readouterr().err)
    assert not any("Traceback" in answer for answer in said), said
    return said


@pytest.mark.parametrize(
    ("place", "node"),
    [
        ("model", {"_target_": "logging.os.system", "command": COMMAND}),
        ("model", {"_target_": "builtins.eval", "_args_": [f"__import__('os').system('{COMMAND}')"]}),
        ("optimizer", {"_target_": "torch.os.system", "command": COMMAND, "_partial_": True}),
        ("representation", {"inner": [{"_target_": "os.system", "_args_": [COMMAND]}]}),
    ],
)
def test_a_crafted_configuration_runs_nothing_however_it_is_opened(
    own: Config,
    stranger: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    place: str,
    node: Config,
) -> None:
    text = yaml.safe_dump(placed(own, place, node)).replace(COMMAND, command(tmp_path))
    (stranger / "config.yaml").write_text(text)
    for answer in all_that_opens(stranger, monkeypatch, capsys):
        assert "config.yaml: " in answer
    assert not (tmp_path / "marker").exists()


@pytest.mark.parametrize(
    "text",
    [
        "!!python/object/apply:os.system ['COMMAND']",
        "model: !!python/object/new:subprocess.Popen [[sh, -c, COMMAND]]",
        "- a list",
        "seed: 1",
        "a: {",
        "\x00",
        "",
    ],
)
def test_a_configuration_that_is_none_is_one_sentence(stranger: Path, tmp_path: Path, text: str) -> None:
    (stranger / "config.yaml").write_text(text.replace("COMMAND", command(tmp_path)))
    with pytest.raises(InputError, match=r"config\.yaml"):
        load_run(stranger)
    assert not (tmp_path / "marker").exists()


class Evil:
    """Runs a command when it is unpickled."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (self.command,)


def test_a_crafted_checkpoint_runs_nothing_however_it_is_opened(
    stranger: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save({"state_dict": {"model.linear.weight": Evil(command(tmp_path))}}, stranger / "evil.ckpt")
    torch.load(stranger / "evil.ckpt", weights_only=False)
    assert (tmp_path / "marker").exists()  # it is a real one
    (tmp_path / "marker").unlink()
    for name in ("best", "last"):
        (stranger / f"checkpoints/{name}.ckpt").write_bytes((stranger / "evil.ckpt").read_bytes())
    monkeypatch.setattr("cdmtrain.data.datamodule.SimulatedData.make_stores", small_sample)
    for answer in all_that_opens(stranger, monkeypatch, capsys):
        assert "holds objects other than tensors and numbers, which could run code" in answer
    with pytest.raises(InputError, match=r"evil\.ckpt holds objects other than"):
        load_run(stranger, checkpoint=str(stranger / "evil.ckpt"))
    assert not (tmp_path / "marker").exists()


def small_sample(data: Any) -> list[Path]:
    """Stands in for the simulation: a store of sixty events of 8 x 8 pixels."""
    import h5py
    import numpy as np

    from cdmtrain.data.cache import load_or_convert
    from cdmtrain.particles import PDG_CODES

    file = Path("events.h5")
    if not file.exists():
        with h5py.File(file, "w") as stream:
            stream["image"] = np.ones((60, 8, 8), np.float32)
            stream["pdg"] = np.array(PDG_CODES, np.int32)[np.arange(60) % 4]
    return [load_or_convert(file, Path("cache"))]


@pytest.mark.parametrize("damage", [lambda data: b"", lambda data: data[: len(data) // 2], lambda data: b"x" * 1000])
def test_a_damaged_checkpoint_is_one_sentence(stranger: Path, damage: Callable[[bytes], bytes]) -> None:
    path = stranger / "checkpoints/best.ckpt"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(InputError, match=r"best\.ckpt"):
        load_run(stranger)
