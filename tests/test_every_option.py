"""Every option of every group changes what a network computes or how it is trained, or is refused in a sentence."""

import functools
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_module
from hydra.utils import instantiate
from omegaconf import DictConfig
from torch import Tensor

import cdmtrain.conf
from cdmtrain.augmentation.chain import Chain
from cdmtrain.batch import EventBatch
from cdmtrain.config.sources import groups
from cdmtrain.config.unused import check_used
from cdmtrain.errors import InputError
from cdmtrain.layers.activation import ACTIVATIONS

CONF = Path(cdmtrain.conf.__file__).parent
MODELS = [option.name for option in groups()["model"] if option.name != "module"]  # which wraps any network
PARTS = [group for group in groups() if group.startswith("representation/")]
SIZE = 67  # the smallest image of AlexNet
SEVERAL = ("features", "edge_features", "event_features")  # of which one chooses a list
SMALL = {
    "alexnet": ["model.hidden=16"],
    "densenet": ["model.width=8"],
    "resnet": ["model.width=4"],
    "sparse_resnet": ["model.channels=[8,8]", "model.blocks=[1,1]"],
}


@functools.cache
def composed(model: str, *words: str) -> DictConfig:
    data = ["data=hdf5", "data.files=[x]", f"data.image_size={SIZE}", "run_dir=run"]
    with initialize_config_module("cdmtrain.conf", version_base="1.3"):
        return compose("config", [f"model={model}", *SMALL.get(model, []), *data, *words])


@functools.cache
def events() -> EventBatch:
    """Three tracks with gaps, so that all definitions of neighbours differ, of energies in no order."""
    generator = torch.Generator().manual_seed(1)
    lit = torch.rand(3, SIZE**2, generator=generator) < 0.03
    pixel = lit.nonzero()[:, 1]
    return EventBatch(
        pixel=pixel,
        energy=torch.rand(len(pixel), generator=generator) * 5 + 0.1,
        offset=torch.cat([torch.zeros(1, dtype=torch.int64), lit.sum(1).cumsum(0)]),
        class_index=torch.tensor([0, 1, 2]),
        dataset_index=torch.arange(3),
        image_size=SIZE,
    )


def logits(cfg: DictConfig) -> Tensor:
    torch.manual_seed(1)
    network = torch.nn.Sequential(instantiate(cfg.representation), instantiate(cfg.model)).eval()
    with torch.no_grad():
        return network(events())


@functools.cache
def default_logits(model: str) -> Tensor:
    return logits(composed(model))


def choices() -> list[tuple[str, str, str]]:
    """Each option of each part of a model's representation: (model, part, option)."""
    found = []
    for model in MODELS:
        representation = composed(model).representation
        for group in PARTS:
            part = group.removeprefix("representation/")
            if part in representation:
                found += [(model, part, option.name) for option in groups()[group]]
    return found


@pytest.mark.parametrize(("model", "part", "option"), choices())
def test_an_option_of_the_representation_changes_the_logits_or_is_refused(model: str, part: str, option: str) -> None:
    cfg = composed(model).copy()
    cfg.representation[part] = chosen(part, option)
    if cfg.representation == composed(model).representation:
        return  # this is the default
    sentence = refusal(cfg)
    if sentence is not None:
        assert f"does not use representation.{part}," in sentence or part == "features"
        return
    changed = logits(cfg)
    assert torch.isfinite(changed).all()
    assert not torch.equal(changed, default_logits(model))


@functools.cache
def chosen(part: str, option: str) -> DictConfig:
    """The node of the configuration that an option gives, composed with the first model that has this part."""
    model = next(model for model in MODELS if part in composed(model).representation)
    value = f"[{option}]" if part in SEVERAL else option
    return composed(model, f"representation/{part}={value}").representation[part]


def refusal(cfg: DictConfig) -> str | None:
    try:
        check_used(cfg)
    except InputError as refused:
        return str(refused)
    return None


@pytest.mark.parametrize(
    ("model", "words", "sentence"),
    [
        (
            "gnn",
            "representation/edge_features=[offset,distance]",
            "GNN does not use representation.edge_features",
        ),
        (
            "transformer",
            "representation/features=[position,energy]",
            r"expects \[energy,position\] as its first",
        ),
        ("transformer", "representation/features=[energy]", r"expects \[energy,position\] as its first"),
        (
            "self_attention",
            "representation/order=energy",
            "representation.order, so EnergyOrder would change",
        ),
        ("dnn", "representation/features=[position]", "model DNN does not use representation.features"),
    ],
)
def test_a_choice_that_the_network_would_not_notice_is_one_sentence(model: str, words: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        check_used(composed(model, words))


@pytest.mark.parametrize("model", MODELS)
def test_what_a_model_chooses_for_itself_is_accepted(model: str) -> None:
    check_used(composed(model))


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("model", [model for model in MODELS if "activation" in composed(model).model])
def test_every_activation_changes_the_logits(model: str, activation: str) -> None:
    cfg = composed(model).copy()
    is_default = cfg.model.activation == activation
    cfg.model.activation = activation
    assert torch.equal(logits(cfg), default_logits(model)) == is_default


def options(group: str) -> list[str]:
    return [option.name for option in groups()[group] if option.name != "none"]


@pytest.mark.parametrize("option", options("augmentation"))
def test_every_augmentation_changes_the_events(option: str) -> None:
    cfg = composed("perceptron", f"augmentation={option}")
    chain = Chain([instantiate(one) for one in cfg.augmentation.values()])
    changed = chain(events(), torch.Generator().manual_seed(1))
    assert not (torch.equal(changed.pixel, events().pixel) and torch.equal(changed.energy, events().energy))


def distinct(values: list[Any]) -> bool:
    return all(one != other for number, one in enumerate(values) for other in values[:number])


def test_every_loss_gives_another_number() -> None:
    logit = default_logits("perceptron")
    losses = [instantiate(composed("perceptron", f"loss={one}").loss) for one in options("loss")]
    assert distinct([float(loss(logit, events().class_index)) for loss in losses])


def trained(cfg: DictConfig) -> tuple[float, ...]:
    """The weights after some steps, an epoch each, as the optimizer and the scheduler of a configuration make them."""
    model, representation = instantiate(cfg.model), instantiate(cfg.representation)
    torch.manual_seed(1)
    optimizer = instantiate(cfg.optimizer)(model.parameters())
    return tuple(one_step(model, representation, optimizer) for _ in range(2))


def one_step(model: Any, representation: Any, optimizer: Any) -> float:
    optimizer.zero_grad()
    torch.nn.functional.cross_entropy(model(representation(events())), events().class_index).backward()
    optimizer.step()
    return float(next(model.parameters()).detach().double().sum())


def test_every_optimizer_takes_other_steps() -> None:
    steps = []
    for option in options("optimizer"):
        torch.manual_seed(1)
        steps.append(trained(composed("perceptron", f"optimizer={option}")))
    assert distinct(steps)
