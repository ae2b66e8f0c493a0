"""The sources of events: files, the challenge's files, a simulation. Each is an EventData that makes its own stores."""

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jaxtyping import Int
from torch import Tensor

from cdmtrain.data.cache import Simulation, load_or_convert, load_or_simulate
from cdmtrain.data.event_data import EventData, is_positive_integer
from cdmtrain.data.fresh import FreshEvents
from cdmtrain.data.split import Parts
from cdmtrain.data.store import EventStore
from cdmtrain.errors import InputError
from cdmtrain.particles import DEFAULT

log = logging.getLogger(__name__)


class Hdf5Data(EventData):
    """Events of HDF5 files in the challenge's format, in the order given.

    Args:
        files: paths of the files; all images have the same size.
        settings: the arguments of EventData.
    """

    def __init__(self, *, files: Sequence[str], **settings: Any) -> None:
        super().__init__(**settings)
        if isinstance(files, str) or not files or not all(isinstance(file, str) for file in files):
            raise InputError(f"data.files={files!r}: a list of HDF5 files is expected, as in data.files=[a.h5,b.h5]")
        self._files = [Path(file) for file in files]

    def make_stores(self) -> list[Path]:
        stores = [self._make_store(number, file) for number, file in enumerate(self._files)]
        repeated = [str(file) for file, store in zip(self._files, stores, strict=True) if stores.count(store) > 1]
        if repeated:
            raise InputError(f"data.files has the same events in {' and '.join(repeated)}; name each file once")
        sizes = {EventStore([store]).image_size for store in stores}
        if len(sizes) > 1:
            raise InputError(f"data.files hold images of sizes {sorted(sizes)}; files that act as one have one size")
        return stores

    def _make_store(self, number: int, file: Path) -> Path:
        if not self._recorded or os.path.exists(file):  # unlike Path.exists, False for a name that the system refuses
            return load_or_convert(file, self.cache_dir)
        if store := self._recorded_store(number):
            log.info("%s is gone; its events are read from %s", file, store)
            return store
        raise InputError(
            f"{file} does not exist (looked for in {Path.cwd()}), and {self.cache_dir} does not hold its events; "
            "put the file back, or restore that directory"
        )


class ChallengeData(Hdf5Data):
    """The public challenge's files.

    Args:
        dir: the directory that holds them.
        file: the file that the split divides into parts.
        test_file: None, or a second file, all of which is the test part.
        settings: the arguments of EventData.
    """

    def __init__(
        self, *, dir: str, file: str = "if-image-train.h5", test_file: str | None = None, **settings: Any
    ) -> None:
        super().__init__(files=[str(Path(dir) / name) for name in (file, test_file) if name is not None], **settings)
        self._has_test_file = test_file is not None

    def _make_store(self, number: int, file: Path) -> Path:
        if not self._recorded and not file.is_file():
            raise InputError(
                f"{file} is not there; point data.dir at the directory that holds {file.name}, or get it: "
                f"cdmtrain task=download dir={file.parent}"
            )
        return super()._make_store(number, file)

    def split(self, dataset_index: Int[Tensor, " kept"]) -> Parts:
        if not self._has_test_file:
            return super().split(dataset_index)
        of_test_file = dataset_index >= len(self.store) - int(self.store.about[-1]["num_events"])
        parts = super().split(dataset_index[~of_test_file])
        if len(parts.test):
            raise InputError(
                f"data.split.test keeps {len(parts.test)} events of the file that trains, and all of data.test_file "
                "are tested; set data.split.test=[1,1]"
            )
        return parts._replace(test=dataset_index[of_test_file])


class SimulatedData(EventData):
    """A sample that is simulated at first use.

    Args:
        events: number of events.
        sample_seed: seed of the sample; the seed of the training leaves it alone.
        simulation: the simulator.
        fresh: whether the training events are replaced by new ones, which are simulated beside the training.
        uses: epochs that train on the same events, if they are.
        settings: the arguments of EventData.
    """

    def __init__(
        self,
        *,
        events: int,
        sample_seed: int,
        simulation: Simulation,
        fresh: bool = False,
        uses: int = 1,
        **settings: Any,
    ) -> None:
        super().__init__(**settings)
        if not isinstance(fresh, bool):
            raise InputError(f"data.fresh={fresh}: true or false is expected")
        if not is_positive_integer(uses):
            raise InputError(f"data.uses={uses}: at least 1 epoch is expected")
        if uses != 1 and not fresh:
            raise InputError(f"data.uses={uses} is how often fresh events are used; add data.fresh=true")
        self._replaces, self._uses = fresh, uses
        if not is_positive_integer(events):
            raise InputError(f"data.events={events}: at least 1 event is expected")
        self._events = events
        self._sample_seed = sample_seed
        self._simulation = simulation if self.classes == DEFAULT else simulation.only([one.pdg for one in self.classes])

    def make_fresh(self, num_events: int) -> FreshEvents | None:
        if not self._replaces:
            return None
        epochs = (self.trainer.max_epochs if self.trainer else None) or -1
        settings = {"seed": self._sample_seed, "events": num_events, "uses": self._uses, "epochs": epochs}
        return FreshEvents(self._simulation, **settings, place=self.place, classes=self.classes)

    def make_stores(self) -> list[Path]:
        if recorded := self._recorded_store(0):
            return [recorded]
        seed, cache_dir = self._sample_seed, self.cache_dir
        return [load_or_simulate(self._simulation, events=self._events, seed=seed, cache_dir=cache_dir)]
