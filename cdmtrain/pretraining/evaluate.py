"""Evaluate a pretraining: its losses, what it fills in, and where its features put events."""

from pathlib import Path
from typing import Any

import lightning
import torch
from jaxtyping import Float
from torch import Tensor

from cdmtrain.atomic import nan_to_none
from cdmtrain.batch import EventBatch
from cdmtrain.callbacks.predictions import write_columns
from cdmtrain.callbacks.progress import EpochProgress
from cdmtrain.data.event_data import EventData
from cdmtrain.pretraining.masked import REFERENCE_MEV, Masked
from cdmtrain.pretraining.patches import hide_patches
from cdmtrain.pretraining.pretraining import Pretraining
from cdmtrain.pretraining.probe import LabelledEvents
from cdmtrain.runs import files

SHOWN_EVENTS = 6  # that are filled in
FEWEST_HITS = 40  # of one of them, where there are enough such events
MAPPED_EVENTS = 2000  # at most, whose features are mapped


def evaluate_pretraining(
    trainer: lightning.Trainer,
    pretraining: Pretraining,
    data: EventData,
    labelled: LabelledEvents | None,
    folder: Path,
) -> dict[str, Any]:
    """Compute the losses of the test events, those of the validation events under the prefix `val_`, and the probe.

    Writes pretrained.h5 into `folder`; replaces the callbacks and loggers of a training.
    """
    trainer.callbacks = [EpochProgress()]  # type: ignore[attr-defined]
    trainer.loggers = []
    trainer.validate(pretraining, datamodule=data, verbose=False)
    trainer.test(pretraining, datamodule=data, verbose=False)
    pretraining.eval()
    if trainer.is_global_zero:
        columns = {**_filled_in(pretraining, data), **_map(pretraining, data, labelled)}
        write_columns(folder / files.PRETRAINED, columns, image_size=data.store.image_size)
    val = {f"val_{name}": value for name, value in pretraining.results["val"].items()}
    measured = labelled.measure(pretraining) if labelled else {}
    return nan_to_none(pretraining.results["test"] | val | measured)


@torch.no_grad()
def _filled_in(pretraining: Pretraining, data: EventData) -> dict[str, Tensor]:
    """Some test events, which of their hits were hidden, and what the network makes of them, if it was asked.

    Columns: class_index, offset, pixel, energy_mev and hidden of the hits; asked_offset, asked_pixel,
    asked_probability and asked_energy_mev of the pixels that were asked for.
    """
    objective = pretraining.objective
    if not isinstance(objective, Masked):
        return {}
    batch = _events_to_show(data).to(pretraining.device)
    generator = torch.Generator(pretraining.device).manual_seed(0)
    patches = hide_patches(batch, objective.patch, objective.share, generator)
    asked = patches.asked()
    lit, energy = objective.predict(pretraining.encode, batch, patches, asked)
    _, side, _ = patches.grid
    place = torch.arange(objective.patch**2, device=asked.device)
    row = (asked // side % side * objective.patch).unsqueeze(1) + place // objective.patch
    column = (asked % side * objective.patch).unsqueeze(1) + place % objective.patch
    inside = (row < batch.image_size) & (column < batch.image_size)
    event = (asked // side**2).unsqueeze(1).expand_as(row)[inside]
    number = torch.bincount(event, minlength=batch.num_events)
    found = {
        "class_index": batch.class_index,
        "offset": batch.offset,
        "pixel": batch.pixel,
        "energy_mev": batch.energy,
        "hidden": patches.hides.to(torch.uint8),
        "asked_offset": torch.cat([number.new_zeros(1), number.cumsum(0)]),
        "asked_pixel": (row * batch.image_size + column)[inside],
        "asked_probability": lit.sigmoid()[inside],
        "asked_energy_mev": (energy.expm1() * REFERENCE_MEV)[inside],
    }
    return {name: values.cpu() for name, values in found.items()}


def _events_to_show(data: EventData) -> EventBatch:
    """The first test events that are large enough to be worth a look, or the first ones."""
    test = data.parts.test
    large = test[data.store.offset.diff()[test] >= FEWEST_HITS]
    return data.store.make_batch((large if len(large) >= SHOWN_EVENTS else test)[:SHOWN_EVENTS])


def _map(pretraining: Pretraining, data: EventData, labelled: LabelledEvents | None) -> dict[str, Tensor]:
    """The first two principal components of the features of events, their shares of the variance, and the classes.

    The events are those of the probe, or test events, whose class may be unknown (-1).
    """
    if labelled is None:
        test = data.parts.test[:MAPPED_EVENTS]
        labelled = LabelledEvents([data.store.make_batch(some) for some in test.split(100)], len(data.classes))
    features = labelled.features(pretraining)[:MAPPED_EVENTS]
    component, share = principal_components(features)
    return {"map_position": component, "map_share": share, "map_class_index": labelled.class_index[: len(features)]}


def principal_components(
    features: Float[Tensor, "event feature"],
) -> tuple[Float[Tensor, "event 2"], Float[Tensor, " 2"]]:
    """Project standardised features on the two directions of largest variance; also return their shares of it.

    The sign of a direction is such that its largest coefficient is positive. Features that do not vary count for 0.
    """
    spread = features.std(0, correction=0)
    centred = (features - features.mean(0)) / torch.where(spread > 0, spread, torch.inf)
    values, directions = torch.linalg.eigh(centred.T @ centred)  # ascending
    first = directions[:, -2:].flip(1)
    first = first * first.gather(0, first.abs().argmax(0, keepdim=True)).sign()
    return centred @ first, values[-2:].flip(0) / values.sum().clamp(min=1e-30)
