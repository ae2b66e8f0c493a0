"""cdmtrain task=inspect: show what a data set contains, beside a reference if one is given."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32
from omegaconf import DictConfig
from rich.console import Console

from cdmtrain.atomic import nan_to_none, write_json
from cdmtrain.config.build import build
from cdmtrain.data.cache import load_or_convert
from cdmtrain.data.event_data import EventData
from cdmtrain.data.store import EventStore
from cdmtrain.errors import InputError
from cdmtrain.particles import UNKNOWN_PDG, Classes, Particle, name_of
from cdmtrain.report.dataset.features import image_features
from cdmtrain.report.dataset.measure import EventBlock, Sample, measure, pixel_mean_and_std
from cdmtrain.report.dataset.page import write_inspection
from cdmtrain.report.dataset.tables import ClassTable, make_tables
from cdmtrain.report.dataset.two_samples import (
    MISSING,
    Separation,
    can_train_trees,
    separation_numbers,
    separation_table,
    separations,
)
from cdmtrain.report.kit.event_display import window_side
from cdmtrain.report.kit.numbers import count
from cdmtrain.representation.image import ImageRepresentation
from cdmtrain.runs.names import new_output_path
from cdmtrain.terminal import say

Images = Float32[np.ndarray, "event row column"]
SOURCE = ("file", "simulation", "num_events", "num_hits", "fingerprint")  # of a store, that inspection.json repeats
FRAME = 112  # pixels, 34 cm: the size of an example's frame
ALIKE = 40  # events with similar numbers of lit pixels, from which an example is chosen
EVENTS_PER_BLOCK = 10_000  # about 1 million hits: 40 MB in all


def inspect(cfg: DictConfig) -> None:
    """Measure every event of the data set, print the tables, write the page and all numbers to a directory."""
    if cfg.examples < 1:
        raise InputError(f"examples={cfg.examples}: at least 1 event of each particle is expected")
    folder = new_output_path(cfg, "inspect")
    stores, classes = open_stores(cfg)
    samples = [measure_store(store, classes) for store in stores]
    tables = make_tables(samples)
    console = Console()
    for sample in samples:
        say(headline(sample))
    for table in tables:
        console.print(table.table.terminal())
    separation = separate(stores, samples)
    if separation:
        console.print(separation_table(separation, samples[1].title).terminal())
    images = [examples(*each, number=cfg.examples) for each in zip(stores, samples, strict=True)]
    page = write_inspection(folder, samples, images, separation)
    write_json(folder / "inspection.json", content(samples, tables, separation))
    say(f"page: {page}")


def open_stores(cfg: DictConfig) -> tuple[list[EventStore], Classes]:
    """The data, and the reference, which must have images of the same size, with the classes of all their events."""
    reference = None if cfg.reference is None else Path(cfg.reference)
    if reference is not None and not reference.is_file():
        raise InputError(f"reference={reference} is not a file; give an HDF5 file in the challenge's format")
    data: EventData = build(cfg, "data")
    directories = [data.make_stores()]
    if reference is not None:
        directories.append([load_or_convert(reference, data.cache_dir)])
    stores = [EventStore(each) for each in directories]
    if reference is not None:
        size, other = (store.image_size for store in stores)
        if size != other:
            raise InputError(
                f"reference={reference} has images of {other} x {other} pixels, the data {size} x {size}; "
                "give a reference of the same image size"
            )
    codes = np.unique(np.concatenate([store.pdg.numpy() for store in stores]))
    others = set(codes.tolist()) - {UNKNOWN_PDG} - {one.pdg for one in data.classes}
    classes = (*data.classes, *(Particle(name_of(code), code) for code in sorted(others)))
    return [EventStore(each, classes) for each in directories], classes


def measure_store(store: EventStore, classes: Classes) -> Sample:
    """Measure every event of a store, in bounded memory."""
    return measure(
        blocks(store),
        title=title(store.about),
        image_size=store.image_size,
        particles=classes,
        class_index=store.class_index.numpy(),
        truth={name: values.numpy() for name, values in store.truth.items()},
        sources=[{key: about[key] for key in SOURCE if key in about} for about in store.about],
    )


def separate(stores: Sequence[EventStore], samples: Sequence[Sample]) -> dict[str, Separation]:
    """Train trees to tell the sample from its reference; nothing without a reference or without scikit-learn."""
    if len(stores) == 1:
        return {}
    if not can_train_trees():
        say(MISSING)
        return {}
    features = [
        np.concatenate([image_features(*block, image_size=store.image_size) for block in blocks(store)])
        for store in stores
    ]
    return separations(samples, features)


def blocks(store: EventStore) -> Iterator[EventBlock]:
    """Yield all events in order, in blocks."""
    for dataset_index in torch.arange(len(store)).split(EVENTS_PER_BLOCK):
        batch = store.make_batch(dataset_index)
        yield batch.offset.numpy(), batch.pixel.numpy(), batch.energy.numpy()


def title(about: Sequence[Mapping[str, Any]]) -> str:
    """The files' names, or `simulated` with the seed of the sample."""
    simulated = [f"simulated, seed {one['simulation']['seed']}" for one in about if "simulation" in one]
    return ", ".join(simulated or [one["file"] for one in about])


def headline(sample: Sample) -> str:
    """Describe the data set in one line."""
    mean, std = pixel_mean_and_std(sample)
    size = sample.image_size
    events = f"{count(len(sample.class_index))} events of {size} x {size} pixels"
    return f"{sample.title}: {events}, pixel mean {mean:.4g} and std {std:.4g} MeV"


def examples(store: EventStore, sample: Sample, *, number: int) -> dict[str, Images]:
    """Choose `number` events of each class, from few lit pixels to many.

    The events are ordered by lit pixels and divided into `number` equal parts. An example is one of the ALIKE events in
    the middle of its part: of those that fit into FRAME, the one that a third of them exceed in extent.
    """
    images = {}
    for name in sample.present:
        dataset_index = np.flatnonzero(sample.of(name))
        order = dataset_index[np.argsort(sample.event["lit_pixels"][dataset_index], kind="stable")]
        middles = ((np.arange(number) + 0.5) / number * len(order)).astype(int)
        alike = [torch.from_numpy(order[max(0, middle - ALIKE // 2) :][:ALIKE]) for middle in middles]
        dense = (ImageRepresentation()(store.make_batch(some)).energy.squeeze(1).numpy() for some in alike)
        images[name] = np.stack([fitting(events) for events in dense])
    return images


def fitting(images: Images) -> Float32[np.ndarray, "row column"]:
    """The event that a third of those that fit into FRAME exceed in extent; the smallest if none fits."""
    extent = np.array([window_side(image) for image in images])
    order = np.argsort(extent, kind="stable")
    return images[order[2 * int((extent <= FRAME).sum()) // 3]]


def content(
    samples: Sequence[Sample], tables: Sequence[ClassTable], separation: Mapping[str, Separation]
) -> dict[str, Any]:
    """The content of inspection.json: every number of the page, null where it is not defined."""
    by_class = {table.name: nan_to_none(table.metrics) for table in tables}
    described: dict[str, Any] = {}
    for name, table, sample in zip(("sample", "reference"), ("summary", "summary_reference"), samples, strict=False):
        pixel = dict(zip(("pixel_mean", "pixel_std"), pixel_mean_and_std(sample), strict=True))
        whole = {"events": len(sample.class_index), "image_size": sample.image_size, **pixel}
        described[name] = {"title": sample.title, "sources": sample.sources, **whole, "classes": by_class[table]}
    trees = nan_to_none(separation_numbers(separation)) if separation else None
    return {**described, "comparison": by_class.get("comparison"), "separation": trees}
