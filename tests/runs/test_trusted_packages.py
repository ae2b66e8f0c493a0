"""A run may build the classes of a package that is trusted, and of no other."""

import sys
from pathlib import Path

import pytest
import torch
import yaml
from hydra import compose, initialize_config_module
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

from cdmtrain import load_run
from cdmtrain.errors import InputError
from cdmtrain.runs import files
from cdmtrain.runs.directory import open_run
from cdmtrain.runs.trust import TRUST_ENV
from tests.runs.crafted import Config

MYNET = """
import subprocess
from torch import nn
class MyNet(nn.Linear):
    def __init__(self): super().__init__(64, 4)
    def forward(self, image): return super().forward(image.energy.flatten(1))
def build(): return MyNet()
"""


@pytest.fixture
def mynet(own: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run that was trained with a network of the package mynet, which can be imported."""
    monkeypatch.chdir(tmp_path)
    run = tmp_path / "run"
    (run / "checkpoints").mkdir(parents=True)
    (tmp_path / "mynet.py").write_text(MYNET)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "mynet", raising=False)
    config = {**own, "model": {"_target_": "mynet.MyNet"}, "representation": IMAGE}
    (run / files.CONFIG).write_text(yaml.safe_dump(config))
    state = {f"model.{name}": value for name, value in torch.nn.Linear(64, 4).state_dict().items()}
    torch.save({"state_dict": state}, run / files.BEST_CHECKPOINT)
    return run


IMAGE = {
    "_target_": "cdmtrain.representation.image.ImageRepresentation",
    "scale": {"_target_": "cdmtrain.representation.scale.LinearScale"},
}
NOT_TRUSTED = r"this run uses mynet\.MyNet, which is not part of cdmtrain; if you trust it, add trust=mynet$"


def test_a_class_of_another_package_is_built_where_it_is_trusted(mynet: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=NOT_TRUSTED):
        load_run(mynet)
    assert "mynet" not in sys.modules
    assert type(load_run(mynet, trust=["mynet"]).model).__name__ == "MyNet"
    monkeypatch.setenv(TRUST_ENV, "other,mynet")
    assert type(load_run(mynet).model).__name__ == "MyNet"


def test_a_package_that_cannot_be_imported_is_named(mynet: Path) -> None:
    (mynet.parent / "mynet.py").unlink()
    with pytest.raises(InputError, match=NOT_TRUSTED):
        load_run(mynet)
    with pytest.raises(InputError, match="of the trusted package mynet, which has no such class here"):
        load_run(mynet, trust=["mynet"])


@pytest.mark.parametrize("line", ["import not_installed", "from math import no_such_name", "1 / 0", "x ="])
def test_a_trusted_module_that_fails_when_it_is_imported_says_why(mynet: Path, line: str) -> None:
    (mynet.parent / "mynet.py").write_text(line)
    reason = "(ModuleNotFound|Import|ZeroDivision|Syntax)Error: [^\n]+"
    with pytest.raises(InputError, match=f"trusted package mynet, which cannot be imported here .{reason}"):
        load_run(mynet, trust=["mynet"])


@pytest.mark.parametrize("target", ["mynet.build", "mynet.subprocess.Popen", "subprocess.Popen", "builtins.eval"])
def test_trust_in_a_package_is_trust_in_its_classes_alone(mynet: Path, target: str) -> None:
    text = (mynet / files.CONFIG).read_text().replace("mynet.MyNet", target)
    (mynet / files.CONFIG).write_text(text)
    with pytest.raises(InputError, match=f"this run uses {target}"):
        load_run(mynet, trust=["mynet", "subprocess", "builtins"])


def test_trust_is_never_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with initialize_config_module("cdmtrain.conf", version_base="1.3"):
        cfg = compose("config", ["trust=mynet", "run_dir=new"], return_hydra_config=True)
    HydraConfig.instance().set_config(cfg)
    with open_run(OmegaConf.masked_copy(cfg, [key for key in cfg if key != "hydra"])):
        assert "trust" not in yaml.safe_load(Path("new", files.CONFIG).read_text())
