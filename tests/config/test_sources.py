"""The plain reading of yaml files agrees with what Hydra composes."""

from pathlib import Path

import hydra
import pytest
from omegaconf import OmegaConf

import cdmtrain.cli  # noqa: F401  registers the resolvers that config.yaml uses
from cdmtrain.config.roots import using
from cdmtrain.config.sources import Composition, groups, leaves, read_yaml

NEEDS = {"representation/order": "rnn", "representation/neighbours": "gnn", "representation/edge_features": "gnn"}
CHOICES = [
    {group: option.name} | ({"model": NEEDS.get(group, "gnn")} if group.startswith("representation/") else {})
    for group, options in groups().items()
    for option in options
    if not group.startswith("hydra") and group != "task"
]
SEVERAL = [
    {"model": "gnn", "representation/features": ["energy", "position"]},
    {"model": "graph_network", "representation/neighbours": "radius", "representation/edge_features": ["distance"]},
    {"experiment": "zoo_gnn", "model": "edgeconv", "optimizer": "sgd", "data": "hdf5", "data/split": "stratified"},
    {"callbacks": ["checkpoint", "progress"], "augmentation": ["symmetries", "shifts"], "trainer": "overfit"},
]


def words(chosen: dict[str, object]) -> list[str]:
    return [f"{group}={option}".replace("'", "") for group, option in chosen.items()]


@pytest.mark.parametrize("chosen", [{}, *CHOICES, *SEVERAL], ids=lambda chosen: " ".join(words(chosen)) or "nothing")
def test_values_and_options_are_those_that_hydra_composes(chosen: dict[str, object]) -> None:
    with hydra.initialize_config_module("cdmtrain.conf", version_base="1.3"):
        cfg = hydra.compose("config", words(chosen), return_hydra_config=True)
    recorded = dict(cfg.hydra.runtime.choices)
    composed = OmegaConf.to_container(cfg, resolve=False)
    assert isinstance(composed, dict)
    del composed["hydra"]
    found = Composition(chosen)
    assert {group: option for group, option in found.options.items() if not isinstance(option, list)} == {
        group: option for group, option in recorded.items() if not group.startswith("hydra")
    }
    assert dict(leaves(found.values())) == dict(leaves(composed))  # type: ignore[arg-type]


def test_an_option_is_looked_up_in_the_directories_of_the_user_too(tmp_path: Path) -> None:
    (tmp_path / "optimizer").mkdir()
    (tmp_path / "optimizer/mine.yaml").write_text("lr: 1e-3\n")
    with using([f"--config-dir={tmp_path}"]):
        assert Composition({"optimizer": "mine"}).values()["optimizer"] == {"lr": 0.001}


def test_numbers_are_read_as_omegaconf_reads_them(tmp_path: Path) -> None:
    text = "a: 1e-3\nb: 1.5e3\nc: 3\nd: 0.5\ne: 1e\nf: yes\ng: null\n"
    (tmp_path / "a.yaml").write_text(text)
    assert read_yaml(tmp_path / "a.yaml") == OmegaConf.to_container(OmegaConf.create(text))
