from collections.abc import Callable

import pytest
from hydra import compose, initialize_config_module
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, open_dict

import cdmtrain.cli  # noqa: F401  registers the resolvers that config.yaml uses


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., DictConfig]:
    """The configuration that a job with these words receives, with Hydra's own part set as in a job."""

    def compose_job(*words: str) -> DictConfig:
        with initialize_config_module("cdmtrain.conf", version_base="1.3"):
            cfg = compose("config", list(words), return_hydra_config=True)
        monkeypatch.setattr(HydraConfig.instance(), "cfg", cfg.copy())
        with open_dict(cfg):
            del cfg["hydra"]
        return cfg

    return compose_job
