"""Write predictions.h5: the output of the network for every test event."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback
from torch import nn

from cdmtrain.atomic import whole_file
from cdmtrain.batch import EventBatch
from cdmtrain.particles import UNKNOWN_CLASS, names_of
from cdmtrain.runs import files

MISTAKES = 3  # for each particle, in mistakes.h5
EVENTS_AT_A_TIME = 1000


Explain = Callable[[nn.Module, nn.Module, EventBatch], torch.Tensor]


class PredictionsWriter(Callback):
    """Write the outputs of the test to predictions.h5, one row for each event, in the order of the data set.

    Datasets: index (in the event file), class_index (truth, -1 for none of the classes), probability (N,
    classes), lit_pixels, deposited_energy_mev, and the truth that the event file has: kinetic_energy_mev, vertex_px,
    direction; pdg where an event is of another particle. The attribute `classes` holds the names of the classes.

    The most confident mistakes for each particle go to mistakes.h5, with their hits: index, class_index, probability,
    pixel, energy_mev, contribution (of each hit to the answer), offset (event + 1), and the attribute image_size.

    Args:
        run: the directory to write to.
        explain: called with representation, model and a batch; returns the contribution of each hit.
    """

    def __init__(self, run: Path, explain: Explain) -> None:
        super().__init__()
        self._run = run
        self._explain = explain
        self._outputs: list[tuple[torch.Tensor, torch.Tensor]] = []  # dataset indices and probabilities, on the device

    def on_test_batch_end(
        self, trainer: Any, module: Any, outputs: Any, batch: EventBatch, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        self._outputs.append((batch.dataset_index, outputs.softmax(1)))

    def on_test_end(self, trainer: lightning.Trainer, module: Any) -> None:
        dataset_index, probability = (torch.cat(part).cpu() for part in zip(*self._outputs, strict=True))
        if trainer.world_size > 1:
            gathered: list[Any] = [None] * trainer.world_size
            torch.distributed.all_gather_object(gathered, (dataset_index, probability))
            dataset_index, probability = (torch.cat(part) for part in zip(*gathered, strict=True))
        if not trainer.is_global_zero:
            return
        dataset_index, order = dataset_index.sort()
        store = trainer.datamodule.store  # type: ignore[attr-defined]
        some = zip(dataset_index.split(EVENTS_AT_A_TIME), probability[order].split(EVENTS_AT_A_TIME), strict=True)
        parts = [event_columns(store.make_batch(chosen), values) for chosen, values in some]
        columns = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
        del columns["dataset_index"]
        columns["index"] = store.index[dataset_index]
        columns |= {name: values[dataset_index] for name, values in store.truth.items()}
        if (columns["class_index"] == UNKNOWN_CLASS).any():
            columns["pdg"] = store.pdg[dataset_index]
        classes = list(names_of(trainer.datamodule.classes))  # type: ignore[attr-defined]
        write_columns(self._run / files.PREDICTIONS, columns, classes=classes)
        worst = confident_mistakes(columns["probability"], columns["class_index"])
        with torch.inference_mode(False):  # whose tensors have no gradients
            batch = store.make_batch(dataset_index[worst].clone())
            contribution = self._explain(module.representation, module.model, batch.to(module.device)).cpu()
        hits = {"pixel": batch.pixel, "energy_mev": batch.energy, "offset": batch.offset, "contribution": contribution}
        chosen = {name: columns[name][worst] for name in ("index", "class_index", "probability")}
        write_columns(self._run / files.MISTAKES, chosen | hits, image_size=batch.image_size)


def confident_mistakes(probability: torch.Tensor, class_index: torch.Tensor) -> torch.Tensor:
    """Return the rows of the most confident mistakes, at most MISTAKES for each particle in turn."""
    confidence, predicted = probability.max(1)
    rows = []
    for particle in range(probability.shape[1]):
        wrong = ((class_index == particle) & (predicted != particle)).nonzero().squeeze(1)
        rows.append(wrong[confidence[wrong].argsort(descending=True, stable=True)[:MISTAKES]])
    return torch.cat(rows)


def write_columns(path: Path, columns: dict[str, torch.Tensor], **attributes: int | list[str]) -> None:
    """Write an HDF5 file with a dataset for each column."""
    buffer = io.BytesIO()  # the HDF5 library crashes when it closes a file on a full disk
    with h5py.File(buffer, "w") as file:
        for name, values in columns.items():
            file[name] = np.asarray(values)
        file.attrs.update(attributes)
    with whole_file(path) as temporary:
        temporary.write_bytes(buffer.getbuffer())


def event_columns(batch: EventBatch, probability: torch.Tensor) -> dict[str, torch.Tensor]:
    """Return the columns of predictions.h5 that are known without the event file."""
    energy = torch.zeros(batch.num_events, dtype=torch.float64)
    energy.index_add_(0, batch.event.cpu(), batch.energy.cpu().double())
    columns = {
        "dataset_index": batch.dataset_index,
        "class_index": batch.class_index,
        "probability": probability,
        "lit_pixels": batch.num_hits,
        "deposited_energy_mev": energy.float(),
    }
    return {name: values.cpu() for name, values in columns.items()}
