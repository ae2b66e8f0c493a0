"""Compose the configuration of one job and make it Hydra's running job, as `hydra.main` does."""

from collections.abc import Iterator
from contextlib import contextmanager

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from cdmtrain.config import search_path


@contextmanager
def composed(words: list[str]) -> Iterator[DictConfig]:
    """Compose one configuration; meanwhile it is Hydra's running job, and afterwards Hydra is as it was before."""
    search_path.register()
    config = HydraConfig.instance()
    before = config.cfg
    with hydra.initialize_config_module("cdmtrain.conf", version_base="1.3", job_name="cdmtrain"):
        cfg = hydra.compose("config", words, return_hydra_config=True)
        cfg.hydra.mode = RunMode.RUN
        config.set_config(cfg)
        try:
            yield OmegaConf.masked_copy(cfg, [str(name) for name in cfg if name != "hydra"])
        finally:
            config.cfg = before
