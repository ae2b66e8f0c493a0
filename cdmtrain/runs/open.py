"""Open trained networks: configuration, network and weights of a checkpoint; the mean of several of them."""

import copy
import logging
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple, get_args, get_type_hints

import numpy as np
import torch
from jaxtyping import Float
from omegaconf import DictConfig, OmegaConf
from torch import Tensor, nn

from cdmtrain.augmentation.chain import Chain
from cdmtrain.batch import EventBatch
from cdmtrain.classifier import Classifier
from cdmtrain.config.build import build, build_each, recorded
from cdmtrain.config.targets import find_class, with_num_classes
from cdmtrain.data.images import as_images, batch_of_images, one_hit
from cdmtrain.data.quantiles import Quantiles, difference
from cdmtrain.errors import InputError
from cdmtrain.learner import Learner
from cdmtrain.loss import check_loss
from cdmtrain.particles import Classes, Pair, names_of, read_classes, read_pairs
from cdmtrain.runs import files
from cdmtrain.runs.calibration import find_calibration
from cdmtrain.runs.checkpoint import checkpoint_path, read_checkpoint
from cdmtrain.runs.combined import combine_networks
from cdmtrain.runs.memory import check_memory
from cdmtrain.runs.read import read_provenance
from cdmtrain.runs.trust import OPENED, read_config, trusted

log = logging.getLogger(__name__)


class Prediction(NamedTuple):
    """The output of a network for N events."""

    probability: Float[np.ndarray, "event class"]  # float32, in the order of `TrainedNetwork.classes`
    name: np.ndarray  # (N,) the most probable particle


def most_probable(probability: Float[np.ndarray, "event class"], names: Sequence[str]) -> np.ndarray:
    """Return the name of the most probable class of each event; "undefined" where a probability is NaN."""
    undefined = ~np.isfinite(probability).all(axis=1)
    return np.array([*names, "undefined"])[np.where(undefined, len(names), probability.argmax(axis=1))]


def classes_and_pairs(cfg: DictConfig) -> tuple[Classes, tuple[Pair, ...]]:
    """Return what the network of a configuration tells apart, and the pairs whose ROC area is a metric."""
    classes = read_classes(cfg.data.get("particles"))
    return classes, read_pairs(OmegaConf.select(cfg, "metrics.pairs"), classes)


@dataclass(frozen=True)
class TrainedNetwork:
    """The network of a run in evaluation mode, on its device."""

    path: Path  # the run directory
    cfg: DictConfig  # the run's own configuration
    checkpoint: Path  # the file that the weights are from
    classifier: Classifier
    particles: Classes
    calibrated: bool = False  # whether its probabilities are to be calibrated
    trained_on: Quantiles = field(default_factory=dict)  # what its training events are like
    _warned: list[str] = field(default_factory=list)  # of events that are unlike them, once

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the columns of a probability."""
        return names_of(self.particles)

    @property
    def model(self) -> nn.Module:
        return self.classifier.model

    @property
    def representation(self) -> nn.Module:
        return self.classifier.representation

    @property
    def image_size(self) -> int:
        return int(self.cfg.data.image_size)

    def predict(self, images: object, *, symmetries: bool = False) -> Prediction:
        """Classify images, as `cdmtrain.api.Run.predict` describes."""
        network, device = self.combined(symmetries=symmetries), self.classifier.device
        parts: list[Tensor] = []
        with torch.inference_mode():
            for batch in self.batches(images):
                if not self._warned and (unlike := difference(batch, self.trained_on)):
                    self._warned.append(unlike)
                    log.warning("%s", unlike)
                parts.append(network(batch.to(device)).softmax(1).cpu())
        probability = torch.cat(parts).numpy() if parts else np.empty((0, len(self.classes)), np.float32)
        return Prediction(probability, most_probable(probability, self.classes))

    def combined(self, *, symmetries: bool) -> nn.Module:
        """Return the network on its device, over symmetries and calibrated where that is wanted."""
        calibration = find_calibration([self], symmetries=symmetries) if self.calibrated else None
        network = combine_networks([self.classifier], symmetries=symmetries, calibration=calibration)
        return network.to(self.classifier.device)

    def batches(self, images: object) -> Iterator[EventBatch]:
        """Yield the images in batches of the size that the run was trained with; an EventBatch as it is.

        Raises:
            InputError: where the image size is not that of the training, or an energy is negative or not finite.
        """
        if isinstance(images, EventBatch):
            check_image_size(self, images.image_size)
            yield images
            return
        first = 0
        for some in as_images(images).split(self.cfg.data.batch_size):
            if len(some):
                check_image_size(self, some.shape[1])
                yield batch_of_images(some, first_index=first)
            first += len(some)


def check_image_size(network: TrainedNetwork, image_size: int, *, source: Path | None = None) -> None:
    """Refuse images whose size is not that of the training; `source` is the file they are from, if any."""
    if image_size != network.image_size:
        raise InputError(
            f"{f'{source} has ' if source else ''}images of {image_size} x {image_size} pixels; {network.path} was "
            f"trained on {network.image_size} x {network.image_size}"
        )


def open_network(
    path: str | PathLike[str],
    *,
    checkpoint: str = "best",
    device: str = "cpu",
    trust: Sequence[str] = (),
    model: nn.Module | None = None,
    calibrated: bool = False,
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

    Raises:
        InputError: where this is not a run, or the checkpoint is absent, damaged, or of another network.
    """
    directory = Path(path)
    cfg = read_config(directory, trust=trusted(trust), parts=[one for one in OPENED if one != "model" or model is None])
    if cfg.get("objective"):
        raise InputError(
            f"{directory} was trained without labels and tells no particles apart; begin a training with what it has "
            f"learned: weights={directory} and its model"
        )
    weights = checkpoint_path(directory, checkpoint)
    with recorded(directory / files.CONFIG), torch.random.fork_rng(devices=[]):  # new weights are replaced at once
        classifier = Classifier(**_network(cfg, model), optimizer=torch.optim.SGD)  # which it never makes
    load_weights(classifier, weights)
    network = TrainedNetwork(directory, cfg, weights, classifier.to(device).eval(), classes_and_pairs(cfg)[0])
    if model is None:
        with recorded(directory / files.CONFIG):  # some values fail only when they are used
            network.predict(one_hit(network.image_size))
    return replace(network, calibrated=calibrated, trained_on=_trained_on(directory))


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
