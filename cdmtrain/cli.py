"""The console script: help before Hydra, one job a configuration, one sentence an error.

Nothing heavy is imported here: `--help`, completion and typing mistakes are answered before torch is loaded.
"""

import os
import secrets
import sys

import hydra
from hydra.utils import get_method
from omegaconf import DictConfig, OmegaConf

OmegaConf.register_new_resolver("random", lambda: secrets.token_hex(4), use_cache=True, replace=True)


def job(cfg: DictConfig) -> object:
    """Run the task of one composed configuration."""
    return get_method(cfg.task._target_)(cfg)


def main() -> int:
    """Run the command line; the exit status."""
    hydra.main(config_path="pkg://cdmtrain.conf", config_name="config", version_base="1.3")(job)()
    return 0
