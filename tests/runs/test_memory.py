"""A network that is too large is refused before its memory is asked for."""

import os

import pytest
import torch
from hydra import compose, initialize_config_module
from hydra.core.hydra_config import HydraConfig

from cdmtrain.config.sources import groups
from cdmtrain.errors import InputError
from cdmtrain.runs.memory import check_memory

MODELS = [option.name for option in groups()["model"] if option.name != "module"]  # which wraps any network


@pytest.mark.parametrize("model", MODELS)
def test_every_model_is_counted_without_drawing_a_random_number(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with initialize_config_module("cdmtrain.conf", version_base="1.3"):
        cfg = compose("config", [f"model={model}"], return_hydra_config=True)
    HydraConfig.instance().set_config(cfg)
    before = torch.get_rng_state()
    check_memory(cfg, 4)
    assert torch.equal(torch.get_rng_state(), before)
    monkeypatch.setattr(os, "sysconf", lambda _: 10)  # 100 bytes of memory
    with pytest.raises(InputError, match="the parameters of the network need"):
        check_memory(cfg, 4)
