"""A class that does not exist is answered with the nearest names, wherever the dotted name is wrong."""

from typing import Any

import pytest
from omegaconf import DictConfig, OmegaConf

from cdmtrain.config.build import build
from cdmtrain.config.targets import find_class
from cdmtrain.errors import InputError
from cdmtrain.model.cnn import CNN


def model(target: str, **inside: Any) -> DictConfig:
    return OmegaConf.create({"model": {"_target_": target, **inside}})


def test_a_class_is_found_by_its_name() -> None:
    assert find_class(model("cdmtrain.model.cnn.CNN"), "model") is CNN


@pytest.mark.parametrize(
    ("target", "answer"),
    [
        ("cdmtrain.model.cnn.CNM", "did you mean cdmtrain.model.cnn.CNN?"),
        ("cdmtrain.model.cmn.CNN", "did you mean cdmtrain.model.cnn.CNN"),
        ("fractions.Fractions", "did you mean fractions.Fraction?"),
        ("nowhere.Net", "module.Class is expected"),
        ("Net", "module.Class is expected"),
        ("", "module.Class is expected"),
        ("fractions..Fraction", "module.Class is expected"),
        ("fractions", "module.Class is expected"),
        ("cdmtrain.errors.Xyz", "cdmtrain.errors has InputError"),
    ],
)
def test_a_class_that_does_not_exist_is_the_users_mistake(target: str, answer: str) -> None:
    with pytest.raises(InputError) as refused:
        find_class(model(target), "model")
    assert str(refused.value).startswith(f"model._target_={target} does not exist; {answer}")


def test_a_class_inside_a_node_is_named_with_its_key() -> None:
    cfg = model("fractions.Fraction", numerator={"_target_": "fractions.Fractoin"})
    with pytest.raises(InputError, match=r"^model.numerator._target_=fractions.Fractoin does not exist"):
        build(cfg, "model")


def test_what_a_module_of_the_user_lacks_is_not_taken_for_the_module(tmp_path: Any, monkeypatch: Any) -> None:
    (tmp_path / "mynet.py").write_text("import a_package_that_is_absent")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="a_package_that_is_absent"):
        find_class(model("mynet.Net"), "model")
