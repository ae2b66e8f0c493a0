"""The configuration of a small run, as this program writes it."""

import shutil
from pathlib import Path

import pytest
from hydra import compose, initialize_config_module
from omegaconf import OmegaConf

from tests.runs.crafted import Config
from tests.runs.test_read import OLD_RUN


@pytest.fixture(scope="module")
def own() -> Config:
    """The configuration of an ordinary run, resolved."""
    with initialize_config_module("cdmtrain.conf", version_base="1.3"):
        cfg = compose("config", ["model=perceptron", "data.image_size=8"])
    cfg.run_dir = "run"
    cfg.sweep.dir = "sweep"
    return OmegaConf.to_container(cfg, resolve=True)  # type: ignore[return-value]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A whole run directory that may be damaged, with a secret beside it."""
    (tmp_path / "secret").write_text("epoch,val_loss\n1,0.5\n")
    return Path(shutil.copytree(OLD_RUN, tmp_path / "run"))
