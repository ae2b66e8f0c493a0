"""Training events that are simulated beside the training, used a few times, and never stored."""

import logging
from collections.abc import Callable
from concurrent.futures import Future
from threading import Event, Thread

import numpy as np

from cdmtrain.data.cache import Simulation
from cdmtrain.data.device import Events
from cdmtrain.data.store import EventStore
from cdmtrain.data.store_check import StoreFiles
from cdmtrain.particles import DEFAULT, Classes

log = logging.getLogger(__name__)


class FreshEvents:
    """Gives every epoch its training events, and simulates the next ones while these are used.

    The first `uses` epochs train on the events of the sample; every `uses` epochs after them on as many new ones. Which
    ones follows from the seed and the epoch, so a resumed training goes on with the same events, after it has simulated
    those of its epoch again. Memory: two sets of events, about 0.9 kB an event each.

    Args:
        simulation: the simulator of the sample.
        seed: of the sample. New events have seeds drawn from it, so that they belong to no other sample.
        events: number of events that train.
        uses: epochs that train on the same events.
        epochs: epochs of the whole training; -1 for no end.
        place: puts new events where batches are made.
        classes: what their class indices stand for.
    """

    def __init__(
        self,
        simulation: Simulation,
        *,
        seed: int,
        events: int,
        uses: int,
        epochs: int,
        place: Callable[[EventStore], Events],
        classes: Classes = DEFAULT,
    ) -> None:
        self._simulation = simulation
        self._seed = seed
        self._num_events = events
        self._uses = uses
        self._last = (epochs - 1) // uses if epochs > 0 else None
        self._place = place
        self._classes = classes
        self._stopped = Event()
        self._prepared: tuple[int, Future[EventStore]] | None = None
        self._used: tuple[int, Events] | None = None

    def of_epoch(self, epoch: int) -> Events | None:
        """The new events of an epoch; None while the events of the sample are used."""
        renewal = epoch // self._uses
        if renewal and (self._used is None or self._used[0] != renewal):
            self._used = None  # frees its memory
            self._used = renewal, self._place(self._take(renewal))
        if renewal != self._last:
            self._prepare(renewal + 1)
        return self._used[1] if renewal and self._used else None

    def stop(self) -> None:
        """End the simulation in the background at its next block."""
        self._stopped.set()
        self._prepared = None

    def _take(self, renewal: int) -> EventStore:
        prepared = self._prepare(renewal)
        if not prepared.done():
            log.info("waiting for %d new training events", self._num_events)
        self._prepared = None
        return prepared.result()

    def _prepare(self, renewal: int) -> "Future[EventStore]":
        """Begin to simulate in a thread, unless that has begun."""
        if self._prepared is None or self._prepared[0] != renewal:
            self._stopped.set()
            self._stopped = Event()
            self._prepared = renewal, Future()
            arguments = (renewal, self._prepared[1], self._stopped)
            Thread(target=self._simulate, args=arguments, daemon=True, name="fresh events").start()
        return self._prepared[1]

    def _simulate(self, renewal: int, result: "Future[EventStore]", stopped: Event) -> None:
        seed = int(np.random.SeedSequence((self._seed, renewal)).generate_state(1, np.uint64)[0] >> np.uint64(1))
        try:
            blocks = []
            for block in self._simulation.blocks(events=self._num_events, seed=seed, workers=1):
                if stopped.is_set():
                    return
                blocks.append((np.diff(block.offset), block.pixel, block.energy_mev, block.pdg))
            num_hits, pixel, energy, pdg = (np.concatenate(column) for column in zip(*blocks, strict=True))
            offset = np.concatenate([[0], np.cumsum(num_hits)])
            columns = {"offset": offset, "pdg": pdg, "index": np.arange(len(pdg))}
            about = {"image_size": self._simulation.image_size}
            result.set_result(EventStore([StoreFiles(about, columns, pixel, energy)], self._classes))
        except Exception as error:  # raised where the events are wanted
            result.set_exception(error)
