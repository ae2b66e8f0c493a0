"""What tests compose is what the program composes, though files that stay the same are read once."""

import json
from pathlib import Path
from typing import Any

import hydra
import pytest
from omegaconf import OmegaConf

from tests.forked import Python

COMPOSED = """
import json, sys
import hydra
from omegaconf import OmegaConf
import cdmtrain.cli
with hydra.initialize_config_module("cdmtrain.conf", version_base="1.3"):
    cfg = hydra.compose("config", sys.argv[1:], return_hydra_config=True)
print(json.dumps(OmegaConf.to_container(cfg, resolve=False), default=str))
"""


def composed(*words: str) -> Any:
    with hydra.initialize_config_module("cdmtrain.conf", version_base="1.3"):
        cfg = hydra.compose("config", list(words), return_hydra_config=True)
    return json.loads(json.dumps(OmegaConf.to_container(cfg, resolve=False), default=str))


@pytest.mark.parametrize(
    "words",
    [
        ("model=gnn", "representation/features=[energy,position]"),
        ("experiment=zoo_gnn", "callbacks=[checkpoint,progress]", "~scheduler"),
        ("+launch.more=1", "augmentation=[symmetries,shifts]", "optimizer=sgd"),
    ],
)
def test_other_values_of_the_same_options_are_composed_as_in_a_process_of_its_own(
    words: tuple[str, ...], python: Python
) -> None:
    composed(*words, "seed=1")  # which is kept
    found = python(COMPOSED, *words, "seed=2", "optimizer.lr=0.5")
    assert composed(*words, "seed=2", "optimizer.lr=0.5") == json.loads(found.stdout), found.stderr


def test_the_options_of_a_directory_are_read_anew(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    for number in (1, 2):
        (tmp_path / "model/mine.yaml").write_text(f"number: {number}\n")
        assert composed(f"hydra.searchpath=[file://{tmp_path}]", "model=mine")["model"] == {"number": number}


def test_another_configuration_has_its_own_file_of_the_same_name(tmp_path: Path) -> None:
    composed()
    (tmp_path / "config.yaml").write_text("number: 1\n")
    with hydra.initialize_config_dir(str(tmp_path), version_base="1.3"):
        assert hydra.compose("config") == {"number": 1}
