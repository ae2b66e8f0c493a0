"""Write predictions.h5: the output of the network for every test event."""

from pathlib import Path
from typing import Any

import h5py
import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback

from cdmtrain.atomic import whole_file
from cdmtrain.batch import EventBatch
from cdmtrain.runs import files

MISTAKES = 3  # for each particle, in mistakes.h5


class PredictionsWriter(Callback):
    """Write the outputs of the test to predictions.h5, one row for each event, in the order of the data set.

    Datasets: index (in the event file), class_index (truth, -1 unknown), probability (N, 4), lit_pixels,
    deposited_energy_mev, and the truth that the event file has: kinetic_energy_mev, vertex_px, direction.

    The most confident mistakes for each particle go to mistakes.h5, with their hits: index, class_index, probability,
    pixel, energy_mev, offset (event + 1), and the attribute image_size.
    """

    def __init__(self, run: Path) -> None:
        super().__init__()
        self._run = run
        self._columns: dict[str, list[torch.Tensor]] = {}

    def on_test_batch_end(
        self, trainer: Any, module: Any, outputs: Any, batch: EventBatch, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        for name, values in event_columns(batch, outputs.softmax(1)).items():
            self._columns.setdefault(name, []).append(values)

    def on_test_end(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        columns = {name: torch.cat(parts) for name, parts in self._columns.items()}
        if trainer.world_size > 1:
            gathered: list[Any] = [None] * trainer.world_size
            torch.distributed.all_gather_object(gathered, columns)
            columns = {name: torch.cat([part[name] for part in gathered]) for name in columns}
        if not trainer.is_global_zero:
            return
        order = columns["dataset_index"].argsort()
        columns = {name: values[order] for name, values in columns.items()}
        dataset_index = columns.pop("dataset_index")
        store = trainer.datamodule.store  # type: ignore[attr-defined]
        columns["index"] = store.index[dataset_index]
        columns |= {name: values[dataset_index] for name, values in store.truth.items()}
        _write(self._run / files.PREDICTIONS, columns)
        worst = confident_mistakes(columns["probability"], columns["class_index"])
        batch = store.make_batch(dataset_index[worst])
        hits = {"pixel": batch.pixel, "energy_mev": batch.energy, "offset": batch.offset}
        chosen = {name: columns[name][worst] for name in ("index", "class_index", "probability")}
        _write(self._run / files.MISTAKES, chosen | hits, image_size=batch.image_size)


def confident_mistakes(probability: torch.Tensor, class_index: torch.Tensor) -> torch.Tensor:
    """Return the rows of the most confident mistakes, at most MISTAKES for each particle in turn."""
    confidence, predicted = probability.max(1)
    rows = []
    for particle in range(probability.shape[1]):
        wrong = ((class_index == particle) & (predicted != particle)).nonzero().squeeze(1)
        rows.append(wrong[confidence[wrong].argsort(descending=True, stable=True)[:MISTAKES]])
    return torch.cat(rows)


def _write(path: Path, columns: dict[str, torch.Tensor], **attributes: int) -> None:
    with whole_file(path) as temporary, h5py.File(temporary, "w") as file:
        for name, values in columns.items():
            file[name] = np.asarray(values)
        file.attrs.update(attributes)


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
