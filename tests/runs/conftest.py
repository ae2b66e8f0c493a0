"""The configuration of a small run, as this program writes it."""

import pytest
from hydra import compose, initialize_config_module
from omegaconf import OmegaConf

from tests.runs.crafted import Config


@pytest.fixture(scope="module")
def own() -> Config:
    """The configuration of an ordinary run, resolved."""
    with initialize_config_module("cdmtrain.conf", version_base="1.3"):
        cfg = compose("config", ["model=perceptron", "data.image_size=8"])
    cfg.run_dir = "run"
    cfg.sweep.dir = "sweep"
    return OmegaConf.to_container(cfg, resolve=True)  # type: ignore[return-value]
