"""A network takes the weights of another one where names and shapes are the same."""

import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf

from cdmtrain.classifier import Classifier
from cdmtrain.errors import InputError
from cdmtrain.runs.config_file import read_config_file
from cdmtrain.runs.open import make_classifier, read_config
from cdmtrain.runs.provenance import RunProvenance
from cdmtrain.runs.read import read_provenance
from cdmtrain.runs.weights import find_weights, load_first_weights, load_matching


def network(trained: SimpleNamespace, **model: Any) -> Classifier:
    """The network of a run with other settings and new weights."""
    cfg = read_config(trained.path)
    cfg.model.update(model)
    torch.manual_seed(7)
    return make_classifier(cfg)


@pytest.fixture
def run(trained: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory of a run that begins."""
    monkeypatch.setattr("cdmtrain.runs.provenance.describe_process", lambda *words: {"cdmtrain": "0"})
    return tmp_path


def test_the_same_network_takes_every_weight(trained: SimpleNamespace) -> None:
    classifier = network(trained)
    loaded, new, unused = load_matching(classifier, trained.path / "checkpoints/best.ckpt")
    source = torch.load(trained.path / "checkpoints/best.ckpt", weights_only=True)["state_dict"]
    assert (new, unused) == ([], [])
    assert set(loaded) == {key for key in source if key.startswith("model.")}
    assert all(torch.equal(classifier.state_dict()[key], source[key]) for key in loaded)


def test_what_has_another_shape_stays_new(trained: SimpleNamespace) -> None:
    classifier = network(trained, channels=[2, 3])
    before = {key: value.clone() for key, value in classifier.state_dict().items()}
    loaded, new, unused = load_matching(classifier, trained.path / "checkpoints/best.ckpt")
    assert loaded
    assert new
    assert unused
    assert all(torch.equal(classifier.state_dict()[key], before[key]) for key in new)


def test_the_file_and_what_fits_are_printed_and_recorded(
    trained: SimpleNamespace, run: Path, caplog: pytest.LogCaptureFixture
) -> None:
    classifier = network(trained, channels=[2, 3])
    cfg = read_config(trained.path)
    theirs, cfg.model.channels, cfg.weights = list(cfg.model.channels), [2, 3], str(trained.path)
    with caplog.at_level(logging.INFO):
        load_first_weights(classifier, cfg, run, RunProvenance(run, cfg))
    record = read_provenance(run).weights
    assert record is not None
    assert record.file == str((trained.path / "checkpoints/best.ckpt").resolve())
    assert classifier.loaded == set(record.loaded)
    assert "parameters are loaded; new: " in caplog.text
    assert "in the file and not used: " in caplog.text
    words = f"model.channels={str(theirs).replace(' ', '')}"
    assert f"{trained.path} is of a network with {words}; add these words to load all of it" in caplog.text


def test_a_file_without_a_run_around_it_is_loaded_as_far_as_it_fits(
    trained: SimpleNamespace, run: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    (run / "a.ckpt").write_bytes((trained.path / "checkpoints/best.ckpt").read_bytes())
    monkeypatch.chdir(run)
    cfg = OmegaConf.merge(read_config(trained.path), {"weights": "a.ckpt"})
    with caplog.at_level(logging.INFO):
        load_first_weights(network(trained, channels=[2, 3]), cfg, run, RunProvenance(run, cfg))
    assert "in the file and not used: " in caplog.text
    assert "add these words" not in caplog.text


def test_weights_of_another_kind_of_network_are_an_error(trained: SimpleNamespace) -> None:
    classifier = network(trained)
    classifier.model = torch.nn.Linear(2, 4)
    with pytest.raises(InputError, match="none of its weights has the name and shape"):
        load_matching(classifier, trained.path / "checkpoints/best.ckpt")


def test_a_frozen_module_does_not_keep_random_values(trained: SimpleNamespace, run: Path) -> None:
    classifier = network(trained, channels=[2, 3])
    classifier.model.requires_grad_(False)
    cfg = OmegaConf.merge(read_config(trained.path), {"weights": str(trained.path)})
    with pytest.raises(InputError, match=r"freeze: .* would keep random values"):
        load_first_weights(classifier, cfg, run, RunProvenance(run, cfg))


@pytest.mark.parametrize(
    ("weights", "sentence"),
    [
        ("nothing", "weights=nothing does not exist; a run directory or a .ckpt file is expected"),
        (["a", "b"], "does not exist"),
        ("/dev/null", "weights=/dev/null is not an ordinary file"),
        (".", r"weights=.: there is no checkpoints/best.ckpt in it"),
    ],
)
def test_what_is_no_weights_is_one_sentence(
    weights: object, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=sentence):
        find_weights(weights)


def test_weights_are_read_without_trust_and_run_no_code(trained: SimpleNamespace, tmp_path: Path) -> None:
    class Harm:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "harm",)

    torch.save({"state_dict": {"model.x": Harm()}}, tmp_path / "a.ckpt")
    with pytest.raises(InputError, match="could run code"):
        load_matching(network(trained), tmp_path / "a.ckpt")
    assert not (tmp_path / "harm").exists()
    config = tmp_path / "stranger" / "config.yaml"
    config.parent.mkdir()
    config.write_text("model: {_target_: os.system, command: exit}")
    (config.parent / "checkpoints").symlink_to(trained.path / "checkpoints")
    assert read_config_file(config.parent)
    with pytest.raises(InputError, match="link"):
        find_weights(str(config.parent))
    assert load_matching(network(trained), trained.path / "checkpoints/best.ckpt")[0]


def test_old_names_of_weights_are_translated() -> None:
    class Renaming(torch.nn.Linear):
        def __init__(self) -> None:
            super().__init__(2, 4)
            self.register_load_state_dict_pre_hook(self._rename)

        @staticmethod
        def _rename(module: object, state: dict[str, Any], *more: object) -> None:
            state["weight"] = state.pop("old")

    from cdmtrain.runs.weights import _load_part

    network = Renaming()
    assert _load_part(network, {"old": torch.ones(4, 2), "other": torch.ones(1)}) == (["weight"], ["other"])
    assert network.weight.eq(1).all()
