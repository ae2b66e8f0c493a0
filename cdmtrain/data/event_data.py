"""The data module: sparse stores in, batches of training, validation and test events out."""

import logging
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import lightning
import torch
from jaxtyping import Int
from torch import Tensor

from cdmtrain.batch import EventBatch
from cdmtrain.data.classes import OTHERS, absent_classes, check_labelled, check_not_empty, kept_events, without_others
from cdmtrain.data.device import Events, place
from cdmtrain.data.fresh import FreshEvents
from cdmtrain.data.loader import Accumulation, EpochOrder, EventLoader
from cdmtrain.data.quantiles import Quantiles, quantiles, sampled_events
from cdmtrain.data.split import PARTS, Parts, Split
from cdmtrain.data.store import EventStore, is_whole
from cdmtrain.errors import InputError
from cdmtrain.particles import read_classes

log = logging.getLogger(__name__)


class EventData(lightning.LightningDataModule):
    """Split the events of a source into three parts and give batches of each.

    A subclass says where the events come from, in `make_stores`. The source is asked once: afterwards everything is
    read from the sparse stores, so the source may be moved or removed while a run trains.

    Args:
        split: which events train, validate and test.
        cache_dir: where sparse stores are kept.
        image_size: rows and columns that the images must have.
        batch_size: events in a batch, over all devices together.
        train_events: use at most this many training events; None for all.
        seed: seed of the shuffle.
        particles: the classes; None for the default ones (`cdmtrain.particles.read_classes`).
        others: what happens to events of other particles: "refuse", "drop", or "test", which keeps those of the test
            part, so that their predictions are written, and drops those of the others.
        on_device: where the hits are while a run uses them: true for the memory of the device that computes, false for
            that of the host, auto for whichever suits (`cdmtrain.data.device.place`). Batches are the same.
    """

    def __init__(
        self,
        *,
        split: Split,
        cache_dir: str,
        image_size: int,
        batch_size: int,
        train_events: int | None,
        seed: int,
        particles: Sequence[object] | None = None,
        others: str = "refuse",
        on_device: bool | str = "auto",
    ) -> None:
        super().__init__()
        if not is_positive_integer(batch_size):
            raise InputError(f"data.batch_size={batch_size}: at least 1 event a batch is expected")
        if not callable(split):
            raise InputError(f"data.split={split}: a split is expected; choose one with data/split=")
        if train_events is not None and not is_positive_integer(train_events):
            raise InputError(f"data.train_events={train_events}: at least 1 event, or null for all, is expected")
        if others not in OTHERS:
            raise InputError(f"data.others={others}: {', '.join(OTHERS)} is expected")
        if on_device not in (True, False, "auto"):
            raise InputError(f"data.on_device={on_device}: auto, true or false is expected")
        self._split = split
        self._image_size = image_size
        self._batch_size = batch_size
        self._train_events = train_events
        self._seed = seed
        self._on_device = on_device
        self.classes = read_classes(particles)
        self._others = others
        self._needs_labels = True
        self._placed: dict[torch.device, Events] = {}
        self._recorded: list[str] = []
        self.cache_dir = Path(cache_dir)
        self._resume_state: dict[str, int] | None = None
        self._train_loader: EventLoader
        self._fresh: FreshEvents | None = None
        self.store: EventStore
        self.parts: Parts

    def make_stores(self) -> list[Path]:
        """The directories of the sparse stores, made if the cache does not hold them."""
        raise NotImplementedError

    @cached_property
    def store_paths(self) -> list[Path]:
        """What `make_stores` returned the first time."""
        return self.make_stores()

    def reuse_stores(self, fingerprints: Sequence[str]) -> None:
        """Fall back on the stores with these fingerprints, one for each source, where a source is gone."""
        self._recorded = list(fingerprints)

    def ignore_labels(self) -> None:
        """Take events of any particle and of none, if `others` does not drop them; to be called before `setup`."""
        self._needs_labels = False

    def make_fresh(self, num_events: int) -> FreshEvents | None:
        """What replaces the training events from epoch to epoch; None where they stay."""
        return None

    def split(self, dataset_index: Int[Tensor, " kept"]) -> Parts:
        """The parts of the events that are kept."""
        parts = self._split(self.store.class_index[dataset_index])
        return Parts(*(dataset_index[part] for part in parts))

    def prepare_data(self) -> None:
        """Make the stores; Lightning calls this again before it validates and tests."""
        _ = self.store_paths

    def setup(self, stage: str | None = None) -> None:
        """Open the stores and choose the parts; for the stage "test" the other two parts may be empty."""
        if hasattr(self, "store"):
            return
        self.store = EventStore(self.store_paths, self.classes)
        if self.store.image_size != self._image_size:
            size = self.store.image_size
            raise InputError(
                f"the images are {size} x {size}, data.image_size is {self._image_size}: set data.image_size={size}"
            )
        absent = absent_classes(self.store.class_index, self.classes) if self._needs_labels else []
        if absent:
            log.warning("the data have no %s", ", ".join(absent))
        others = "test" if self._others == "refuse" and not self._needs_labels else self._others
        parts = self.split(kept_events(self.store, self.classes, others))
        parts = without_others(self.store, parts) if self._others == "test" and self._needs_labels else parts
        self.parts = parts._replace(train=parts.train[: self._train_events])
        for name in ("test",) if stage == "test" else PARTS:
            check_not_empty(name, getattr(self.parts, name), self.store)
            if self._needs_labels:
                self._check_labels(name)

    def train_dataloader(self) -> EventLoader:
        self._fresh = self.make_fresh(len(self.parts.train))
        self._train_loader = self._loader(self.parts.train, shuffle=True)
        if self._resume_state is not None:
            self._train_loader.load_state_dict(self._resume_state)
        return self._train_loader

    def val_dataloader(self) -> EventLoader:
        return self._loader(self.parts.val, shuffle=False)

    def test_dataloader(self) -> EventLoader:
        return self._loader(self.parts.test, shuffle=False)

    def teardown(self, stage: str) -> None:
        if self._fresh is not None:
            self._fresh.stop()

    def transfer_batch_to_device(self, batch: EventBatch, device: torch.device, dataloader_idx: int) -> EventBatch:
        """Leave a batch as it is: loaders give it on the device."""
        return batch

    def state_dict(self) -> dict[str, Any]:
        """How far training has come in its epoch.

        Lightning keeps a record of its own, but does not restore it if a learning rate schedule has asked for the
        number of steps before.
        """
        return {"train_loader": self._train_loader.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._resume_state = state_dict["train_loader"]

    def describe(self) -> dict[str, Any]:
        """The sources of the events, how many are in each part and what they are like, for provenance.json."""
        return {
            "sources": [
                {key: value for key, value in about.items() if key not in ("store_version", "files")}
                for about in self.store.about
            ],
            "events": len(self.store),
            **{name: len(part) for name, part in zip(PARTS, self.parts, strict=True)},
            "quantiles": self.quantiles,
        }

    @cached_property
    def quantiles(self) -> Quantiles:
        """What the training events are like; empty where there are none."""
        return quantiles(sampled_events(self.store, self.parts.train)) if len(self.parts.train) else {}

    def _recorded_store(self, number: int) -> Path | None:
        """The store that a run recorded for source `number`; None if there is no such record or no whole store."""
        if number >= len(self._recorded):
            return None
        store = self.cache_dir / self._recorded[number]
        return store if is_whole(store) else None

    def _loader(self, dataset_index: Int[Tensor, " chosen"], *, shuffle: bool) -> EventLoader:
        order = EpochOrder(dataset_index, shuffle=shuffle, seed=self._seed)
        rank, world_size = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        if min(self._batch_size, len(dataset_index)) < world_size:
            raise InputError(
                f"data.batch_size={self._batch_size} and a part of {len(dataset_index)} events cannot be shared out "
                f"over {world_size} devices; every device needs an event"
            )
        return EventLoader(
            self._place_store(),
            order,
            batch_size=self._batch_size,
            rank=rank,
            world_size=world_size,
            accumulated=self._accumulated if shuffle else None,
            fresh=self._fresh.of_epoch if shuffle and self._fresh else None,
        )

    def _accumulated(self) -> Accumulation:
        trainer = self.trainer
        return (
            Accumulation(trainer.accumulate_grad_batches, trainer.num_training_batches) if trainer else Accumulation()
        )

    def _place_store(self) -> Events:
        """The store on the device of the Trainer, uploaded at most once."""
        if self._device not in self._placed:
            self._placed = {self._device: self.place(self.store)}
        return self._placed[self._device]

    def place(self, store: EventStore) -> Events:
        """A store on the device of the Trainer."""
        return place(store, self._device, self._on_device)

    @property
    def _device(self) -> torch.device:
        return self.trainer.strategy.root_device if self.trainer else torch.device("cpu")

    def _check_labels(self, name: str) -> None:
        part, class_index = getattr(self.parts, name), self.store.class_index
        check_labelled(name, part, self.store)
        everywhere = absent_classes(class_index, self.classes)
        absent = [one for one in absent_classes(class_index[part], self.classes) if one not in everywhere]
        if absent:
            log.warning("the %s part has no %s; data/split=stratified shares every class out", name, ", ".join(absent))


def is_positive_integer(value: object) -> bool:
    return isinstance(value, int) and value >= 1
