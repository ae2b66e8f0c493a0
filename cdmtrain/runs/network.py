"""A trained network and what it says of images."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from omegaconf import DictConfig
from torch import Tensor, nn

from cdmtrain.batch import EventBatch
from cdmtrain.classifier import Classifier
from cdmtrain.data.images import as_images, batch_of_images
from cdmtrain.data.quantiles import Quantiles, difference
from cdmtrain.errors import InputError
from cdmtrain.particles import Classes, names_of
from cdmtrain.runs.calibration import find_calibration
from cdmtrain.runs.combined import combine_networks

log = logging.getLogger(__name__)
Summarize = Callable[[nn.Module, nn.Module, EventBatch], Tensor]  # representation, model and events to (event, feature)


class Prediction(NamedTuple):
    """The output of a network for N events."""

    probability: Float[np.ndarray, "event class"]  # float32, in the order of `TrainedNetwork.classes`
    name: np.ndarray  # (N,) the most probable particle


def most_probable(probability: Float[np.ndarray, "event class"], names: Sequence[str]) -> np.ndarray:
    """Return the name of the most probable class of each event; "undefined" where a probability is NaN."""
    undefined = ~np.isfinite(probability).all(axis=1)
    return np.array([*names, "undefined"])[np.where(undefined, len(names), probability.argmax(axis=1))]


def without_classes(run: Path) -> InputError:
    """The error for a network that was trained without labels, where one that tells particles apart is needed."""
    return InputError(
        f"{run} was trained without labels and tells no particles apart; begin a training with what it has learned: "
        f"weights={run} and its model"
    )


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
    summarize: Summarize | None = None  # the features of events, of a network that was trained without labels
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
        """Return the network on its device, over symmetries and calibrated where that is wanted.

        Raises:
            InputError: where it was trained without labels.
        """
        if self.summarize:
            raise without_classes(self.path)
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
