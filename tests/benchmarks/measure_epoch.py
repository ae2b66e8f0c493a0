"""Whole epochs of the dense network fed with hits, in turn with the bare loop on dense images that lie in memory."""

import time
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import peer_loop
import peer_networks
import torch
from lightning.pytorch.callbacks import Callback
from sample import EVENTS, config, opened
from timing import Row, quartiles

from cdmtrain.data.event_data import EventData
from cdmtrain.representation.image import ImageRepresentation
from cdmtrain.runs.open import make_classifier
from cdmtrain.tasks.benchmark import scratch_trainer

EPOCHS = 6  # of each; the first warms up


class PeerEpochs(Callback):
    """Times the Trainer's epochs, validation included, and lets the bare loop make one before each."""

    def __init__(self, data: EventData, lr: float) -> None:
        super().__init__()
        self.seconds: dict[str, list[float]] = {"mine": [], "peer": []}
        self._model = peer_networks.dense_network()
        self._optimizer = torch.optim.Adam(self._model.parameters(), lr=lr)
        self._train, self._val = ready(data.train_dataloader()), ready(data.val_dataloader())

    def on_train_epoch_start(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        since = time.perf_counter()
        order = torch.randperm(len(self._train)).tolist()
        peer_loop.train(self._model, [self._train[number] for number in order], self._optimizer)
        peer_loop.validate(self._model, self._val)
        self._since = time.perf_counter()
        self.seconds["peer"].append(self._since - since)

    def on_train_epoch_end(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        self.seconds["mine"].append(time.perf_counter() - self._since)


def ready(loader: Any) -> list[tuple[torch.Tensor, torch.Tensor]]:
    return [(ImageRepresentation()(batch).energy, batch.class_index) for batch in loader]


def row(cache_dir: Path) -> Row:
    cfg = config(cache_dir, "experiment=lecture_dnn", events=EVENTS)
    torch.manual_seed(cfg.seed)
    data = opened(cfg)
    epochs = PeerEpochs(data, cfg.optimizer.lr)
    with scratch_trainer(cfg, epochs, progress=False, max_epochs=EPOCHS) as trainer:
        trainer.fit(make_classifier(cfg), datamodule=data)
    mine, other = (np.array(epochs.seconds[name][1:]) for name in ("mine", "peer"))
    return Row(
        "dense network, epoch on hits",
        float(np.median(other) / np.median(mine)),
        "x",
        2,
        f"{np.median(mine):.2f} s",
        f"{np.median(other):.2f} s, bare loop on dense images in memory",
        quartiles(other / mine),
    )
