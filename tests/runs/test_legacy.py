"""Configurations of 0.1 are translated, and back again to the form that names a sweep's job."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from hydra import compose, initialize_config_module
from omegaconf import OmegaConf

from cdmtrain.config.sources import groups
from cdmtrain.errors import InputError
from cdmtrain.runs.legacy import as_in_0_1, translate

FIXTURES = Path(__file__).parents[1] / "fixtures"
MODELS = [option.name for option in groups()["model"] if option.name != "module"]  # which wraps any network
NEW_KEYS = {"event_features", "num_event_features"}


def recorded(run: str) -> dict[str, Any]:
    config: dict[str, Any] = yaml.safe_load((FIXTURES / run / "config.yaml").read_text())
    return config


def composed(*words: str) -> dict[str, Any]:
    """The plain configuration that the words compose today."""
    with initialize_config_module("cdmtrain.conf", version_base="1.3"):
        cfg = compose("config", overrides=["data=hdf5", "data.files=[x]", "data.image_size=16", *words])
    return {name: OmegaConf.to_container(cfg[name], resolve=True) for name in ("model", "representation")}


@pytest.mark.parametrize("run", ["run_0_1", "run_0_1_sparse_resnet"])
def test_a_configuration_of_0_1_comes_back_from_its_translation(run: str) -> None:
    assert as_in_0_1(translate(recorded(run))) == recorded(run)


def test_todays_sparse_resnet_is_that_of_0_1() -> None:
    words = ("model=sparse_resnet", "model.channels=[4,6]", "model.blocks=[1,1]")
    old = recorded("run_0_1_sparse_resnet")
    assert as_in_0_1(composed(*words)) == {name: old[name] for name in ("model", "representation")}
    translated = translate(old)
    today = composed(*words)
    assert today["representation"] == translated["representation"]
    assert today["model"] == translated["model"] | {"activation": "relu"}


@pytest.mark.parametrize("model", MODELS)
def test_a_model_with_its_defaults_has_no_key_that_0_1_lacked(model: str) -> None:
    config = as_in_0_1(composed(f"model={model}"))
    assert not NEW_KEYS & {*config["model"], *config["representation"]}


def test_features_that_0_1_lacked_stay_in_the_name_of_a_job() -> None:
    config = composed("model=gnn", "representation/event_features=[num_hits]")
    assert as_in_0_1(config)["representation"] == config["representation"]
    config = composed("model=sparse_resnet", "representation/event_features=[num_hits]")
    assert as_in_0_1(config)["representation"] == config["representation"]


def test_a_sparse_resnet_of_0_1_on_another_scale_is_refused_in_one_sentence() -> None:
    config = recorded("run_0_1_sparse_resnet")
    config["representation"]["scale"] = {"_target_": "cdmtrain.representation.scale.SqrtScale"}
    with pytest.raises(InputError, match="on the logarithm of energies of SqrtScale"):
        translate(config)
