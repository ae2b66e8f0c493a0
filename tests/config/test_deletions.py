"""A key is deleted with `~`, whatever its value is."""

from pathlib import Path

import pytest
from hydra import compose, initialize_config_module
from omegaconf import DictConfig

from cdmtrain.config.deletions import with_deletable_nulls
from cdmtrain.config.roots import using


def composed(*words: str) -> DictConfig:
    with initialize_config_module("cdmtrain.conf", version_base="1.3"):
        return compose("config", with_deletable_nulls(words))


@pytest.mark.parametrize("words", [["~loss.class_weights"], ["loss=focal", "~loss.class_weights"]])
def test_a_null_is_deleted(words: list[str]) -> None:
    assert "class_weights" not in composed(*words).loss


def test_a_torch_loss_takes_the_place_of_the_default_one() -> None:
    words = ["loss._target_=torch.nn.MultiMarginLoss", "~loss.class_weights", "~loss.label_smoothing", "+loss.margin=2"]
    assert composed(*words).loss == {"_target_": "torch.nn.MultiMarginLoss", "margin": 2}


@pytest.mark.parametrize(
    "words",
    [
        ["seed=2"],
        ["~loss.label_smoothing"],
        ["~trainer"],
        ["~nothing.like.it"],
        ["~optimizer.lr", "model=dnn,cnn", "-m"],
    ],
)
def test_other_words_stay_as_they_are(words: list[str]) -> None:
    assert with_deletable_nulls(words) == words


def test_a_null_of_an_option_in_a_directory_of_the_user_is_deleted(tmp_path: Path) -> None:
    (tmp_path / "loss").mkdir()
    (tmp_path / "loss/mine.yaml").write_text("_target_: torch.nn.CrossEntropyLoss\nweight: null\n")
    words = ["--config-dir", str(tmp_path), "loss=mine", "~loss.weight"]
    with using(words):
        assert with_deletable_nulls(words) == [*words[:3], "loss.weight=0", "~loss.weight"]
