"""A trained run, opened: its network with what makes its input, ready to say what it thinks of events."""

import pickle
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple, get_args, get_type_hints

import numpy as np
import torch
from hydra.utils import get_class, instantiate
from jaxtyping import Float
from omegaconf import DictConfig
from torch import Tensor, nn

from cdmtrain.augmentation.chain import Chain
from cdmtrain.augmentation.symmetries import transformed
from cdmtrain.batch import EventBatch
from cdmtrain.classifier import Classifier
from cdmtrain.data.images import as_images, batch_of_images
from cdmtrain.errors import InputError
from cdmtrain.particles import NAMES
from cdmtrain.runs.trust import read_config

NUM_SYMMETRIES = 8  # of the square


class Predictions(NamedTuple):
    """What a network says of N events."""

    probability: Float[np.ndarray, "event class"]  # float32, in the order of `Run.classes`
    name: np.ndarray  # (N,) the most probable particle


@dataclass(frozen=True)
class Run:
    """A run's network in evaluation mode, on its device.

    run = load_run("outputs/train/cnn/2026-11-23_120000_1a2b3c")
    probability, name = run.predict(images)     # (N, 192, 192) in MeV -> (N, 4), (N,)
    """

    path: Path
    cfg: DictConfig  # its own configuration
    checkpoint: Path  # that the weights are from
    classifier: Classifier
    classes = NAMES  # of the columns of a probability

    @property
    def model(self) -> nn.Module:
        return self.classifier.model

    @property
    def representation(self) -> nn.Module:
        return self.classifier.representation

    @property
    def image_size(self) -> int:
        return int(self.cfg.data.image_size)

    def predict(self, images: object, *, symmetries: bool = False) -> Predictions:
        """Say what the particles in some images are.

        Args:
            images: (N, S, S) deposited energy in MeV, an array or a tensor of numbers, or an EventBatch.
            symmetries: mean over the eight turned and mirrored images of each event, eight times the work.

        Raises:
            InputError: for images of another size than the network was trained on, or energies that cannot be.
        """
        parts = [self.probability(batch, symmetries=symmetries).cpu() for batch in self._batches(images)]
        probability = torch.cat(parts).numpy() if parts else np.empty((0, len(NAMES)), np.float32)
        return Predictions(probability, np.array(NAMES)[probability.argmax(axis=1)])

    @torch.inference_mode()
    def probability(self, batch: EventBatch, *, symmetries: bool = False) -> Float[Tensor, "event class"]:
        """The softmax probabilities of a batch's events, as float32 on the network's device."""
        check_image_size(self, batch.image_size)
        return network_of([self], symmetries=symmetries)(batch.to(self.classifier.device)).softmax(1)

    def _batches(self, images: object) -> Iterator[EventBatch]:
        """The images in batches of the size the run was trained with; an EventBatch as it is."""
        if isinstance(images, EventBatch):
            yield images
            return
        first = 0
        for some in as_images(images).split(self.cfg.data.batch_size):
            if len(some):
                yield batch_of_images(some, first_index=first)
            first += len(some)


class Ensemble(nn.Module):
    """log of the mean probability of several networks, each of which may see the eight symmetric views of an event.

    p(event) = 1/(R S) sum_r sum_s softmax(network_r(view_s(event))), with one view or eight. The logarithm stands for
    logits: its softmax is the mean again.

    Args:
        networks: each maps an EventBatch to logits (B, C).
        symmetries: whether to turn and mirror each event.
    """

    def __init__(self, networks: Sequence[nn.Module], *, symmetries: bool) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)
        self._num_views = NUM_SYMMETRIES if symmetries else 1

    def forward(self, batch: EventBatch) -> Float[Tensor, "event class"]:
        views = [_view(batch, number) for number in range(self._num_views)]
        probability = [network(view).softmax(1) for view in views for network in self.networks]
        return torch.stack(probability).mean(0).log()


def network_of(runs: Sequence[Run], *, symmetries: bool = False) -> nn.Module:
    """What maps an EventBatch to logits: one run's network as it is, or the mean of several or of the eight views."""
    if len(runs) == 1 and not symmetries:
        return runs[0].classifier
    return Ensemble([run.classifier for run in runs], symmetries=symmetries)


def _view(batch: EventBatch, number: int) -> EventBatch:
    """Every event under one symmetry; number 0 leaves it as it is."""
    return transformed(batch, torch.full_like(batch.class_index, number)) if number else batch


def check_image_size(run: Run, image_size: int, *, source: Path | None = None) -> None:
    """Refuse images, of the file `source` if they are of one, of another size than the run's network takes."""
    if image_size != run.image_size:
        raise InputError(
            f"{f'{source} has ' if source else ''}images of {image_size} x {image_size} pixels; {run.path} was trained "
            f"on {run.image_size} x {run.image_size}"
        )


def load_run(path: str | PathLike[str], *, checkpoint: str = "best", device: str = "cpu") -> Run:
    """Open a run directory: the network it trained, as its own configuration builds it.

    Safe for runs from strangers: the configuration may only build what is part of a run (`cdmtrain.runs.trust`), and
    a checkpoint is read as tensors and numbers.

    Args:
        path: of the run directory.
        checkpoint: "best", "last", or the path of a checkpoint.
        device: to compute on, such as "cuda".

    Raises:
        InputError: where it is no run, has no such checkpoint, or does not fit it.
    """
    directory = Path(path)
    cfg = read_config(directory)
    weights = checkpoint_path(directory, checkpoint)
    with torch.random.fork_rng(devices=[]):  # the weights drawn first are of no use
        classifier = make_classifier(cfg)
    load_weights(classifier, weights)
    return Run(directory, cfg, weights, classifier.to(device).eval())


def checkpoint_path(run: Path, name: str) -> Path:
    """The file of the checkpoint "best" or "last" of a run, or of the path given."""
    path = run / "checkpoints" / f"{name}.ckpt" if name in ("best", "last") else Path(name)
    if not path.is_file():
        words = "best, last or the path of a checkpoint is expected"
        raise InputError(f"ckpt={name}: {path} is not a file; {words}")
    return path


def load_weights(classifier: Classifier, path: Path) -> None:
    """Give the network and its representation the weights of a checkpoint, read as tensors and numbers alone."""
    state = read_checkpoint(path)["state_dict"]
    for name in ("representation", "model"):
        part: nn.Module = getattr(classifier, name)
        prefix = f"{name}."
        mine = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
        try:
            part.load_state_dict(mine)
        except (RuntimeError, TypeError, AttributeError) as error:
            reason = " ".join(str(error).split())
            raise InputError(
                f"{path} holds the weights of another network than the configuration's ({reason})"
            ) from error


def read_checkpoint(path: Path) -> dict[str, Any]:
    """The content of a checkpoint: nothing but tensors, numbers, words and their containers is read.

    Raises:
        InputError: for a file that holds anything else, or is damaged.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise InputError(f"{path} holds other things than tensors and numbers, and is not read") from error
    except (OSError, RuntimeError, EOFError, ValueError, LookupError) as error:
        raise InputError(f"{path} cannot be read as a checkpoint ({' '.join(str(error).split())})") from error
    if not isinstance(content, dict) or not isinstance(content.get("state_dict"), dict):
        raise InputError(f"{path} is not a checkpoint of a run: it has no state_dict")
    return content


def make_classifier(cfg: DictConfig) -> Classifier:
    """The network of the configuration in its LightningModule, initialised from the seed."""
    check_fit(get_class(cfg.model._target_), get_class(cfg.representation._target_))
    return Classifier(
        model=instantiate(cfg.model),
        representation=instantiate(cfg.representation),
        loss=instantiate(cfg.loss),
        optimizer=instantiate(cfg.optimizer),
        scheduler=instantiate(cfg.scheduler),
        augmentation=Chain(instantiate(cfg.augmentation).values()) if cfg.augmentation else None,
        seed=cfg.seed,
    )


def check_fit(model: type[nn.Module], representation: type[nn.Module]) -> None:
    """Refuse a model that takes another type than the representation gives, as far as their signatures say."""
    takes = next(iter(get_type_hints(model.forward).values()), None)
    gives = get_type_hints(representation.forward).get("return")
    types = get_args(takes) or (takes,)
    if takes and gives and gives not in types:
        raise InputError(
            f"model {model.__name__} takes {' or '.join(one.__name__ for one in types)}, and "
            f"{representation.__name__} gives {gives.__name__}; leave representation= to the model's own choice"
        )
