"""A run from a stranger runs nothing: neither its configuration nor its checkpoints."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from cdmtrain.config.sources import CONF
from cdmtrain.errors import InputError
from cdmtrain.runs.trust import check_targets
from tests.runs.crafted import COMMAND, PLACES, Config, placed


def files() -> list[Path]:
    groups = ("task", "hydra", "search", "experiment")  # that no run records, or that only choose from the others
    return [file for file in sorted(CONF.rglob("*/*.yaml")) if file.relative_to(CONF).parts[0] not in groups]


@pytest.mark.parametrize("file", files(), ids=lambda file: str(file.relative_to(CONF)))
def test_every_option_of_this_program_may_be_built(file: Path) -> None:
    text = file.read_text()
    content = yaml.safe_load(text.replace("${", "<").replace("???", "torch.nn.Flatten")) or {}
    for group in () if "# @package _global_" in text else reversed(file.relative_to(CONF).parent.parts):
        content = {group: content}
    check_targets(content, source="config.yaml")


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


WAYS: dict[str, Callable[[Config], Any]] = {
    "itself": lambda call: call,
    "partial": lambda call: {**call, "_partial_": True},
    "inside": lambda call: {"inner": [[call]]},
}


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
