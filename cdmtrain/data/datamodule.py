"""From files or a simulation to batches: one data module for every source of events."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning
import torch
from jaxtyping import Int
from torch import Tensor

from cdmtrain.data.cache import Simulation, load_or_convert, load_or_simulate
from cdmtrain.data.events import EventStore
from cdmtrain.data.loader import EpochOrder, EventLoader
from cdmtrain.data.split import PARTS, Parts, Split
from cdmtrain.errors import InputError
from cdmtrain.particles import NAMES, UNKNOWN_CLASS

log = logging.getLogger(__name__)


class EventData(lightning.LightningDataModule):
    """Splits a store of events and gives batches of each part. A source of events says where its stores are."""

    def __init__(
        self, *, split: Split, cache_dir: str, image_size: int, batch_size: int, train_events: int | None, seed: int
    ) -> None:
        super().__init__()
        if not _is_count(batch_size):
            raise InputError(f"data.batch_size={batch_size}: at least 1 event a batch is expected")
        if train_events is not None and not _is_count(train_events):
            raise InputError(f"data.train_events={train_events}: at least 1 event, or null for all, is expected")
        self._split = split
        self._image_size = image_size
        self._batch_size = batch_size
        self._train_events = train_events
        self._seed = seed
        self.cache_dir = Path(cache_dir)
        self._resumed: dict[str, int] | None = None
        self._train_loader: EventLoader
        self.store: EventStore
        self.parts: Parts

    def directories(self) -> list[Path]:
        """The directories of the sparse stores, made if need be; the one thing a source of events decides."""
        raise NotImplementedError

    def split(self, class_index: Int[Tensor, " event"]) -> Parts:
        """The parts of all events, as the split has them."""
        return self._split(class_index)

    def prepare_data(self) -> None:
        self.directories()

    def setup(self, stage: str | None = None) -> None:
        """Open the stores and choose the parts; for the stage "test" the other parts may be empty."""
        if hasattr(self, "store"):
            return
        self.store = EventStore(self.directories())
        if self.store.image_size != self._image_size:
            size = self.store.image_size
            raise InputError(
                f"the images are {size} x {size}, data.image_size is {self._image_size}: set data.image_size={size}"
            )
        if absent := _absent(self.store.class_index):
            log.warning("the data have no %s", ", ".join(absent))
        parts = self.split(self.store.class_index)
        self.parts = parts._replace(train=parts.train[: self._train_events])
        for name in ("test",) if stage == "test" else PARTS:
            self._check_part(name, self.store.class_index[getattr(self.parts, name)])

    def train_dataloader(self) -> EventLoader:
        self._train_loader = self._loader(self.parts.train, shuffle=True)
        if self._resumed is not None:
            self._train_loader.load_state_dict(self._resumed)
        return self._train_loader

    def val_dataloader(self) -> EventLoader:
        return self._loader(self.parts.val, shuffle=False)

    def test_dataloader(self) -> EventLoader:
        return self._loader(self.parts.test, shuffle=False)

    def state_dict(self) -> dict[str, Any]:
        """Where training stands in its epoch. Lightning's own record of it is not restored when a schedule has asked
        for the number of steps before."""
        return {"train_loader": self._train_loader.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._resumed = state_dict["train_loader"]

    def describe(self) -> dict[str, Any]:
        """What the run's provenance says of its events."""
        return {
            "sources": [
                {k: v for k, v in about.items() if k not in ("store_version", "files")} for about in self.store.about
            ],
            "events": len(self.store),
            **{name: len(part) for name, part in zip(PARTS, self.parts, strict=True)},
        }

    def _loader(self, dataset_index: Int[Tensor, " chosen"], *, shuffle: bool) -> EventLoader:
        order = EpochOrder(dataset_index, shuffle=shuffle, seed=self._seed)
        rank, world_size = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        if min(self._batch_size, len(dataset_index)) < world_size:
            raise InputError(
                f"data.batch_size={self._batch_size} and a part of {len(dataset_index)} events cannot be shared out "
                f"over {world_size} devices; every device needs an event"
            )
        return EventLoader(self.store, order, batch_size=self._batch_size, rank=rank, world_size=world_size)

    def _check_part(self, name: str, class_index: Int[Tensor, " chosen"]) -> None:
        if len(class_index) == 0:
            raise InputError(
                f"the {name} part of {len(self.store)} events is empty; widen data.split.{name} or give more events"
            )
        if (class_index == UNKNOWN_CLASS).any():
            raise InputError(
                f"the {name} part has events without 'pdg'; a classifier is trained and tested on labelled ones"
            )
        absent = [particle for particle in _absent(class_index) if particle not in _absent(self.store.class_index)]
        if absent:
            log.warning("the %s part has no %s; data/split=stratified shares every class out", name, ", ".join(absent))


def _absent(class_index: Int[Tensor, " chosen"]) -> list[str]:
    return [NAMES[k] for k in range(len(NAMES)) if not (class_index == k).any()]


class Hdf5Data(EventData):
    """Events of HDF5 files in the challenge's format, in the order given."""

    def __init__(self, *, files: Sequence[str], **settings: Any) -> None:
        super().__init__(**settings)
        if isinstance(files, str) or not files or not all(isinstance(file, str) for file in files):
            raise InputError(f"data.files={files!r}: a list of HDF5 files is expected, as in data.files=[a.h5,b.h5]")
        self._files = [Path(file) for file in files]

    def directories(self) -> list[Path]:
        made = [load_or_convert(file, self.cache_dir) for file in self._files]
        twice = [str(file) for file, store in zip(self._files, made, strict=True) if made.count(store) > 1]
        if twice:
            raise InputError(f"data.files has the same events in {' and '.join(twice)}; name each file once")
        sizes = {EventStore([directory]).image_size for directory in made}
        if len(sizes) > 1:
            raise InputError(f"data.files hold images of sizes {sorted(sizes)}; files that act as one have one size")
        return made


class ChallengeData(Hdf5Data):
    """One of the public challenge's two files; or the one divided by the split, and the other, whole, as the test part.

    Args:
        dir: the directory that holds them.
        file: the name of the one.
        test_file: None, or that of the other.
        settings: as those of every source of events.
    """

    def __init__(
        self, *, dir: str, file: str = "if-image-train.h5", test_file: str | None = None, **settings: Any
    ) -> None:
        paths = [Path(dir) / name for name in (file, test_file) if name is not None]
        for path in paths:
            if not path.is_file():
                raise InputError(
                    f"{path} is not there; point data.dir at the directory that holds {path.name}, or get it: "
                    f"cdmtrain task=download dir={dir}"
                )
        super().__init__(files=[str(path) for path in paths], **settings)
        self._test_apart = test_file is not None

    def split(self, class_index: Int[Tensor, " event"]) -> Parts:
        if not self._test_apart:
            return super().split(class_index)
        num_split = len(class_index) - int(self.store.about[-1]["num_events"])
        parts = super().split(class_index[:num_split])
        if len(parts.test):
            raise InputError(
                f"data.split.test keeps {len(parts.test)} events of the file that trains, and all of data.test_file "
                "are tested; set data.split.test=[1,1]"
            )
        return parts._replace(test=torch.arange(num_split, len(class_index)))


class SimulatedData(EventData):
    """A sample simulated at first use."""

    def __init__(self, *, events: int, sample_seed: int, simulation: Simulation, **settings: Any) -> None:
        super().__init__(**settings)
        if not _is_count(events):
            raise InputError(f"data.events={events}: at least 1 event is expected")
        self._events = events
        self._sample_seed = sample_seed
        self._simulation = simulation

    def directories(self) -> list[Path]:
        seed, cache_dir = self._sample_seed, self.cache_dir
        return [load_or_simulate(self._simulation, events=self._events, seed=seed, cache_dir=cache_dir)]


def _is_count(value: object) -> bool:
    return isinstance(value, int) and value >= 1
