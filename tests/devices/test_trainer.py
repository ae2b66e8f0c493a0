"""What the options of the group trainer choose."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_module
from hydra.utils import instantiate
from omegaconf import OmegaConf


@pytest.fixture(autouse=True)
def torch_settings() -> Iterator[None]:
    precision, mode = torch.get_float32_matmul_precision(), torch.get_deterministic_debug_mode()
    attention = torch.backends.cuda.cudnn_sdp_enabled()
    yield
    torch.backends.cuda.enable_cudnn_sdp(attention)
    torch.set_float32_matmul_precision(precision)
    torch.set_deterministic_debug_mode(mode)


def settings(option: str) -> dict[str, Any]:
    with initialize_config_module("cdmtrain.conf", version_base=None):
        found = OmegaConf.to_container(compose("config", overrides=[f"trainer={option}"]).trainer)
    assert isinstance(found, dict)
    return found


def test_a_gpu_is_given_bfloat16_tf32_and_algorithms_that_need_not_repeat(tmp_path: Path) -> None:
    trainer = instantiate(settings("gpu") | {"accelerator": "cpu", "logger": False, "default_root_dir": tmp_path})
    assert trainer.precision == "bf16-mixed"
    assert torch.get_float32_matmul_precision() == "high"
    assert not torch.are_deterministic_algorithms_enabled()


def test_attention_is_not_planned_anew_for_every_length_of_a_sequence(tmp_path: Path) -> None:
    torch.backends.cuda.enable_cudnn_sdp(True)
    instantiate(settings("gpu") | {"accelerator": "cpu", "logger": False, "default_root_dir": tmp_path})
    assert not torch.backends.cuda.cudnn_sdp_enabled()


def test_the_next_run_of_a_sweep_does_not_inherit_tf32(tmp_path: Path) -> None:
    for option, precision in (("gpu", "high"), ("default", "highest")):
        instantiate(settings(option) | {"accelerator": "cpu", "logger": False, "default_root_dir": tmp_path})
        assert torch.get_float32_matmul_precision() == precision


def test_one_batch_for_debugging_uses_the_device_that_a_training_uses() -> None:
    assert settings("debug")["accelerator"] == settings("default")["accelerator"]
