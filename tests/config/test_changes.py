"""What a run records as different from the defaults."""

import pytest
from hydra import compose, initialize_config_module
from hydra.core.hydra_config import HydraConfig

from cdmtrain.config.changes import changed


def test_a_recipe_hides_no_value_that_differs_from_the_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    with initialize_config_module("cdmtrain.conf", version_base="1.3"):
        cfg = compose("config", ["recipe=zoo", "seed=3"], return_hydra_config=True)
        monkeypatch.setattr(HydraConfig.instance(), "cfg", cfg)
        assert changed() == {
            "recipe": [None, "zoo"],
            "augmentation": ["none", "symmetries"],
            "optimizer": ["adam", "adamw"],
            "scheduler": ["none", "onecycle"],
            "optimizer.lr": [0.001, 0.003],
            "seed": [1, 3],
        }
