"""What features are worth, measured on labelled events: a linear classifier on them, and their nearest neighbours."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning
import torch
from jaxtyping import Float, Int
from lightning.pytorch.callbacks import Callback
from omegaconf import DictConfig, ListConfig
from torch import Tensor, nn

from cdmtrain.batch import EventBatch
from cdmtrain.data.cache import load_or_convert
from cdmtrain.data.store import EventStore
from cdmtrain.errors import InputError
from cdmtrain.particles import names_of, read_classes

RIDGE = 1e-2  # of each squared weight, beside the mean squared error of an event
NEIGHBOURS = 20
FEWEST_EVENTS = 8  # that a probe is made with


class LabelledEvents:
    """Some labelled events in memory, and how well their features tell them apart.

    Args:
        batches: of events of known classes.
        num_classes: C.
    """

    def __init__(self, batches: Sequence[EventBatch], num_classes: int) -> None:
        self.batches = batches
        self.class_index = torch.cat([batch.class_index for batch in batches])
        self._num_classes = num_classes

    def measure(self, module: Any) -> dict[str, float]:
        """The accuracies that the features of a pretraining allow, by a linear classifier and by neighbours."""
        features = self.features(module)
        half = len(features) // 2
        mean, spread = features[:half].mean(0), features[:half].std(0)
        features = (features - mean) / spread.clamp(min=1e-6)
        known, asked = features[:half], features[half:]
        truth, expected = self.class_index[:half], self.class_index[half:]
        answers = {
            "probe_accuracy": linear_classifier(known, truth, asked, self._num_classes),
            "neighbours_accuracy": nearest_neighbours(known, truth, asked, self._num_classes),
        }
        return {name: float((answer == expected).float().mean()) for name, answer in answers.items()}

    @torch.no_grad()
    def features(self, module: Any) -> Float[Tensor, "event feature"]:
        """The features of the events, in double precision on the CPU."""
        mode = module.training
        module.eval()
        found = [module.summarize(batch.to(module.device)).double().cpu() for batch in self.batches]
        module.train(mode)
        return torch.cat(found)


def linear_classifier(
    known: Float[Tensor, "known feature"],
    truth: Int[Tensor, " known"],
    asked: Float[Tensor, "asked feature"],
    num_classes: int,
) -> Int[Tensor, " asked"]:
    """Classify by ridge regression on the classes, in closed form: w = (X^T X + r N)^-1 X^T Y, with N known events.

    Args:
        known, truth: standardised features and classes to learn from.
        asked: features to classify.
        num_classes: C.
    """
    target = nn.functional.one_hot(truth, num_classes).to(known)
    mean = target.mean(0)
    square = known.T @ known + RIDGE * len(known) * torch.eye(known.shape[1], dtype=known.dtype)
    return (asked @ torch.linalg.solve(square, known.T @ (target - mean)) + mean).argmax(1)


def nearest_neighbours(
    known: Float[Tensor, "known feature"],
    truth: Int[Tensor, " known"],
    asked: Float[Tensor, "asked feature"],
    num_classes: int,
) -> Int[Tensor, " asked"]:
    """Classify by the most frequent class among the 20 known events whose features have the most similar direction."""
    similarity = nn.functional.normalize(asked) @ nn.functional.normalize(known).T
    nearest = similarity.topk(min(NEIGHBOURS, len(known)), dim=1).indices
    return nn.functional.one_hot(truth[nearest], num_classes).sum(1).argmax(1)


class Probe(Callback):
    """Log `probe_accuracy` and `neighbours_accuracy` in every epoch."""

    def __init__(self, events: LabelledEvents) -> None:
        super().__init__()
        self._events = events

    def on_validation_epoch_end(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        module.log_dict(self._events.measure(module), sync_dist=True)


def labelled_events(cfg: DictConfig) -> LabelledEvents | None:
    """Read the events of `probe.files`; None where no file is named.

    Raises:
        InputError: where the files hold too few events of the classes, or images of another size.
    """
    files, most = cfg.probe.get("files"), cfg.probe.get("events")
    if not isinstance(files, ListConfig | list) or not all(isinstance(file, str) for file in files):
        raise InputError(f"probe.files={files}: a list of labelled HDF5 files is expected, as in probe.files=[a.h5]")
    if type(most) is not int or most < FEWEST_EVENTS:
        raise InputError(f"probe.events={most}: at least {FEWEST_EVENTS} events are expected")
    if not files:
        return None
    classes, cache_dir = read_classes(cfg.data.get("particles")), Path(cfg.data.cache_dir)
    store = EventStore([load_or_convert(Path(file), cache_dir) for file in files], classes)
    if store.image_size != cfg.data.image_size:
        size = f"{store.image_size} x {store.image_size}"
        raise InputError(f"probe.files have images of {size} pixels, and data.image_size is {cfg.data.image_size}")
    chosen = (store.class_index >= 0).nonzero().squeeze(1)[:most]
    if len(chosen) < FEWEST_EVENTS:
        names = ", ".join(names_of(classes))
        raise InputError(f"probe.files hold {len(chosen)} events of {names}; at least {FEWEST_EVENTS} are expected")
    return LabelledEvents([store.make_batch(some) for some in chosen.split(cfg.data.batch_size)], len(classes))
