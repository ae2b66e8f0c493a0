"""Batches of 100, shuffled, as each representation, against how they are made by hand."""

from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import h5py
import numpy as np
import peer_graph
import peer_reader
from sample import MANY, config, opened
from timing import Row, in_turn, quartiles
from torch import nn

from cdmtrain.batch import EventBatch
from cdmtrain.data.event_data import EventData
from cdmtrain.representation.graph import GraphRepresentation
from cdmtrain.representation.hits import HitsRepresentation
from cdmtrain.representation.image import ImageRepresentation
from cdmtrain.representation.sequence import SequenceRepresentation

BATCH = 100
OURS = 10  # batches of ours to one of a peer: a time long enough to measure


def rows(cache_dir: Path, contiguous: Path) -> list[Row]:
    data = opened(config(cache_dir, f"data.batch_size={BATCH}", events=MANY))
    graph = GraphRepresentation(threshold_mev=peer_graph.THRESHOLD_MEV)
    return [
        against(
            "image batches", data, ImageRepresentation(), 15, read_images(contiguous), "a Dataset of one image", 30
        ),
        against("graph batches", data, graph, 500, build_graphs(contiguous), "pixel by pixel in Python", 5),
        speed("sequence batches", data, SequenceRepresentation()),
        speed("hits batches", data, HitsRepresentation()),
    ]


def against(
    what: str, data: EventData, represent: nn.Module, target: float, peer: Callable[[], object], how: str, rounds: int
) -> Row:
    """How many times as fast a batch is made."""
    taken = in_turn({"mine": making(data, represent), "peer": peer}, rounds=rounds)
    mine, other = taken["mine"] / OURS, taken["peer"]
    return Row(
        what,
        float(np.median(other) / np.median(mine)),
        "x",
        target,
        f"{1000 * np.median(mine):.2f} ms",
        f"{1000 * np.median(other):.1f} ms, {how}",
        quartiles(other / mine),
    )


def speed(what: str, data: EventData, represent: nn.Module) -> Row:
    taken = in_turn({"mine": making(data, represent)}, rounds=40)["mine"] / OURS
    made = BATCH / taken
    milliseconds = f"{1000 * np.median(taken):.2f} ms"
    return Row(what, float(np.median(made)), "events/s", 30_000, milliseconds, "", quartiles(made))


def making(data: EventData, represent: nn.Module) -> Callable[[], object]:
    """Makes the next batches of the training events, in a new order every epoch."""
    batches = shuffled(data)

    def make() -> None:
        for batch in islice(batches, OURS):
            represent(batch)

    return make


def shuffled(data: EventData) -> Iterator[EventBatch]:
    loader, epoch = data.train_dataloader(), 0
    while True:
        loader.sampler.set_epoch(epoch)
        yield from (batch for batch in loader if batch.num_events == BATCH)
        epoch += 1


def read_images(path: Path) -> Callable[[], object]:
    loader = peer_reader.make_loader(path, batch_size=BATCH)
    batches = iter(loader)
    return lambda: next(batches)


def build_graphs(path: Path) -> Callable[[], object]:
    with h5py.File(path) as file:
        images = file["image"][:BATCH]
    return lambda: peer_graph.batch_of(images)
