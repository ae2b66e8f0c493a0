"""Open trained networks: build what a configuration names and load the weights of a checkpoint."""

import copy
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any, get_args, get_type_hints

import torch
from omegaconf import DictConfig, OmegaConf
from torch import nn

from cdmtrain.augmentation.chain import Chain
from cdmtrain.classifier import Classifier
from cdmtrain.config.build import build, build_each, recorded
from cdmtrain.config.targets import find_class, with_num_classes
from cdmtrain.data.images import one_hit
from cdmtrain.data.quantiles import Quantiles
from cdmtrain.errors import InputError
from cdmtrain.learner import Learner
from cdmtrain.loss import check_loss
from cdmtrain.particles import Classes, Pair, read_classes, read_pairs
from cdmtrain.runs import files
from cdmtrain.runs.checkpoint import checkpoint_path, read_checkpoint
from cdmtrain.runs.memory import check_memory
from cdmtrain.runs.network import TrainedNetwork, without_classes
from cdmtrain.runs.read import read_provenance
from cdmtrain.runs.trust import OPENED, read_config, trusted


def classes_and_pairs(cfg: DictConfig) -> tuple[Classes, tuple[Pair, ...]]:
    """Return what the network of a configuration tells apart, and the pairs whose ROC area is a metric."""
    classes = read_classes(cfg.data.get("particles"))
    return classes, read_pairs(OmegaConf.select(cfg, "metrics.pairs"), classes)


def open_network(
    path: str | PathLike[str],
    *,
    checkpoint: str = "best",
    device: str = "cpu",
    trust: Sequence[str] = (),
    model: nn.Module | None = None,
    calibrated: bool = False,
    without_labels: bool = False,
) -> TrainedNetwork:
    """Open the network of a run for inference.

    Safe for runs from strangers: the configuration may build nothing but the parts of a run (`cdmtrain.runs.trust`),
    and a checkpoint is read as tensors and numbers only.

    Args:
        path: the run directory.
        checkpoint: "best", "last", or the path of a checkpoint.
        device: to compute on, such as "cuda".
        trust: packages whose classes the run may build too, beside those in the environment variable CDMTRAIN_TRUST.
        model: a network like the one that was trained, for a run whose network was an object; it is copied.
        calibrated: whether to calibrate what it predicts, as `task=calibrate` found.
        without_labels: whether to open a network that was trained without labels too, for its features.

    Raises:
        InputError: where this is not a run, or the checkpoint is absent, damaged, or of another network.
    """
    directory = Path(path)
    parts = [one for one in (*OPENED, "objective") if one != "model" or model is None]
    cfg = read_config(directory, trust=trusted(trust), parts=parts)
    if cfg.get("objective") and not without_labels:
        raise without_classes(directory)
    summarize = find_class(cfg, "objective").summarize if cfg.get("objective") else None  # type: ignore[attr-defined]
    weights = checkpoint_path(directory, checkpoint)
    with recorded(directory / files.CONFIG), torch.random.fork_rng(devices=[]):  # new weights are replaced at once
        classifier = Classifier(**_network(cfg, model), optimizer=torch.optim.SGD)  # which it never makes
    load_weights(classifier, weights)
    classes, _ = classes_and_pairs(cfg)
    network = TrainedNetwork(directory, cfg, weights, classifier.to(device).eval(), classes, summarize=summarize)
    if model is None:
        with recorded(directory / files.CONFIG):  # some values fail only when they are used
            _try_once(network)
    return replace(network, calibrated=calibrated, trained_on=_trained_on(directory))


def _try_once(network: TrainedNetwork) -> None:
    """Let a network say something about an event of one hit."""
    event = one_hit(network.image_size)
    if network.summarize is None:
        network.predict(event)
    else:
        with torch.no_grad():
            network.summarize(network.representation, network.model, event.to(network.classifier.device))


def _trained_on(run: Path) -> Quantiles:
    """What the training events of a run are like; empty for runs of version 0.1 and where the record is damaged."""
    with suppress(InputError):
        if data := read_provenance(run).data:
            return data.quantiles
    return {}


def load_weights(learner: Learner, path: Path) -> None:
    """Load the weights of a checkpoint into the model, its representation and the objective of a pretraining."""
    state = read_checkpoint(path)["state_dict"]
    for name, part in learner.named_children():
        if name not in ("representation", "model", "objective"):
            continue
        prefix = f"{name}."
        mine = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
        try:
            part.load_state_dict(mine)
        except (RuntimeError, TypeError, AttributeError) as error:
            reason = " ".join(str(error).split())
            raise InputError(f"{path} holds the weights of another network ({reason})") from error


def make_classifier(cfg: DictConfig, model: nn.Module | None = None) -> Classifier:
    """Build the network of a configuration and what trains it, in its LightningModule, with new weights.

    A `model` that is given is copied with its weights and takes the place of the one that the configuration names.
    """
    return Classifier(**_network(cfg, model), **training_settings(cfg))


def training_settings(cfg: DictConfig) -> dict[str, Any]:
    """The arguments of a Learner beside its network."""
    return {
        **{name: build(cfg, name) for name in ("optimizer", "scheduler")},
        "augmentation": Chain(build_each(cfg, "augmentation")) if cfg.augmentation else None,
        "freeze": cfg.get("freeze") or (),
        "loaded_lr": cfg.get("weights_lr", 1.0),
        "seed": cfg.seed,
    }


def build_network(cfg: DictConfig, model: nn.Module | None) -> dict[str, nn.Module]:
    """Build the model, unless it is given, and its representation."""
    num_classes = len(classes_and_pairs(cfg)[0])
    check_fit(find_class(cfg, "model") if model is None else type(model), find_class(cfg, "representation"))
    if model is None:
        check_memory(cfg, num_classes)
    network = build(with_num_classes(cfg, num_classes), "model") if model is None else copy.deepcopy(model)
    return {"model": network, "representation": build(cfg, "representation")}


def _network(cfg: DictConfig, model: nn.Module | None) -> dict[str, Any]:
    """Build the parts of a configuration that inference needs."""
    classes, pairs = classes_and_pairs(cfg)
    parts = {**build_network(cfg, model), "loss": build(cfg, "loss")}
    check_loss(parts["loss"], classes)
    return {**parts, "classes": classes, "pairs": pairs}


def check_fit(model: type[nn.Module], representation: type[nn.Module]) -> None:
    """Refuse a representation whose output is not the input of the model, as far as their type hints tell."""
    for part, found in {"model": model, "representation": representation}.items():
        if not issubclass(found, nn.Module) or found.forward is nn.Module.forward:
            raise InputError(f"{part} {found.__name__}: a torch.nn.Module with a method forward is expected")
    takes = next(iter(get_type_hints(model.forward).values()), None)
    gives = get_type_hints(representation.forward).get("return")
    types = get_args(takes) or (takes,)
    if takes and gives and gives not in types:
        raise InputError(
            f"model {model.__name__} takes {' or '.join(one.__name__ for one in types)}, and "
            f"{representation.__name__} gives {gives.__name__}; leave out representation=: the model chooses it"
        )
