"""What a run records as different from the defaults."""

from collections.abc import Callable
from pathlib import Path

from omegaconf import DictConfig

from cdmtrain.config.changes import changes
from cdmtrain.config.roots import using


def test_nothing_differs_where_nothing_is_typed(typed: Callable[..., DictConfig]) -> None:
    assert changes(typed()) == {}


def test_a_recipe_hides_no_value_that_differs_from_the_defaults(typed: Callable[..., DictConfig]) -> None:
    assert changes(typed("recipe=zoo", "seed=3")) == {
        "recipe": [None, "zoo"],
        "augmentation": ["none", "symmetries"],
        "optimizer": ["adam", "adamw"],
        "scheduler": ["none", "onecycle"],
        "optimizer.lr": [0.001, 0.003],
        "seed": [1, 3],
    }


def test_lists_of_options_added_keys_and_values_are_recorded(typed: Callable[..., DictConfig]) -> None:
    words = ("model=gnn", "representation/features=[energy,position]", "+trainer.profiler=simple", "data.events=20")
    assert changes(typed(*words)) == {
        "model": ["cnn", "gnn"],
        "representation": ["hits", "graph"],
        "representation/neighbours": [None, "four"],
        "representation/features": [[], ["energy", "position"]],
        "trainer.profiler": [None, "simple"],
        "data.events": [10000, 20],
    }


def test_options_of_a_config_dir_are_known(typed: Callable[..., DictConfig], tmp_path: Path) -> None:
    (tmp_path / "optimizer").mkdir()
    (tmp_path / "optimizer/mine.yaml").write_text("_target_: torch.optim.SGD\n_partial_: true\nlr: 1e-2\n")
    (tmp_path / "experiment").mkdir()
    text = "# @package _global_\ndefaults:\n  - override /optimizer: mine\ndata:\n  batch_size: 7\n"
    (tmp_path / "experiment/mine.yaml").write_text(text)
    words = [f"hydra.searchpath=[{tmp_path}]", "experiment=mine"]
    with using(words):
        assert changes(typed(*words)) == {
            "optimizer": ["adam", "mine"],
            "experiment": [None, "mine"],
            "data.batch_size": [100, 7],
        }
