from typing import Any

import pytest
from omegaconf import DictConfig, OmegaConf

from cdmtrain.config.build import DETAILS, build, build_each
from cdmtrain.config.explain import explain
from cdmtrain.errors import InputError


def node(target: str, **settings: Any) -> DictConfig:
    return OmegaConf.create({"optimizer": {"_target_": target, **settings}})


def test_a_node_is_built_with_further_arguments() -> None:
    assert build(node("fractions.Fraction", numerator=3), "optimizer", denominator=4) == 3 / 4


def test_several_nodes_are_built_in_their_order() -> None:
    cfg = OmegaConf.create({"c": {name: {"_target_": "pathlib.PurePath", "_args_": [name]} for name in ("b", "a")}})
    assert [str(path) for path in build_each(cfg, "c")] == ["b", "a"]
    assert build_each(OmegaConf.create({"c": None}), "c") == []


def test_a_value_that_a_class_refuses_is_named_with_its_node() -> None:
    with pytest.raises(InputError) as refused:
        build(node("fractions.Fraction", numerator="many"), "optimizer")
    assert str(refused.value) == f"optimizer: Invalid literal for Fraction: 'many' {DETAILS}"


@pytest.mark.parametrize("inner", [False, True], ids=["partial", "partial in a dictionary"])
def test_a_value_refused_when_a_partial_node_is_called_is_named_with_the_node(inner: bool) -> None:
    cfg = node("fractions.Fraction", _partial_=True)
    if inner:
        cfg = OmegaConf.create({"optimizer": {"make": cfg.optimizer, "interval": "step"}})
    made = build(cfg, "optimizer")
    with pytest.raises(InputError, match=r"^optimizer: Invalid literal for Fraction: 'many'"):
        (made["make"] if inner else made)(numerator="many")


def refuse(kind: str) -> None:
    raise {
        "input": InputError("a.h5 is not an HDF5 file"),
        "torch": ModuleNotFoundError("Neither `tensorboard` nor `tensorboardX` is there"),
        "bug": AttributeError("x"),
        "file": FileNotFoundError(2, "No such file or directory", "a.h5"),
    }[kind]


def built(kind: str, key: str = "logger.tensorboard") -> BaseException:
    cfg = OmegaConf.create({})
    OmegaConf.update(cfg, key, {"_target_": f"{__name__}.refuse", "kind": kind})
    with pytest.raises(Exception) as raised:  # noqa: PT011  any kind
        build(cfg, key)
    return raised.value


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """This module under its name, so that Hydra finds `refuse`."""
    import sys
    from types import ModuleType

    module = ModuleType(__name__)
    module.refuse = refuse  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, __name__, module)


def test_a_sentence_of_ours_stays_as_it_is() -> None:
    assert str(built("input")) == "a.h5 is not an HDF5 file"


def test_an_option_that_lacks_its_package_says_how_to_install_it() -> None:
    assert str(built("torch")) == "logger=tensorboard needs tensorboard: pip install 'cdmtrain[tensorboard]'"


def test_a_bug_and_a_missing_file_are_raised_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(built("bug"), AttributeError)
    monkeypatch.setattr("cdmtrain.config.own_code.remember", lambda *_: None)
    monkeypatch.setattr("cdmtrain.config.own_code.own_targets", {})  # as if this module were the program's
    assert explain(built("bug")) is None
    assert explain(built("file")) == f"a.h5: No such file or directory {DETAILS}"
