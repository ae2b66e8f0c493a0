"""Training steps of the lecture's networks as a run makes them, in turn with loops written by hand, on equal batches.

Two loops: one with the network of this program on what its representation gives, so that the difference is what the
program adds; and one with the lecture's network from the libraries' layers. All begin with the same weights and see the
same batches, so that their losses are the same, to rounding.
"""

import time
from collections.abc import Callable, Sequence
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import peer_loop
import peer_networks
import torch
from hydra.utils import instantiate
from lightning.pytorch.callbacks import Callback
from sample import MANY, config, opened
from timing import Row, quartiles
from torch import nn

from cdmtrain.batch import EventBatch
from cdmtrain.representation.graph import GraphRepresentation
from cdmtrain.representation.image import ImageRepresentation
from cdmtrain.runs.open import make_classifier
from cdmtrain.tasks.benchmark import scratch_trainer

BLOCK = 5  # steps of one side before the next has its turn
SAME_LOSS = 0.01  # Adam's quotients enlarge what float32 rounds; other batches or weights differ by more than 0.1


def image(batch: EventBatch) -> torch.Tensor:
    return ImageRepresentation()(batch).energy


LECTURE = {  # its network, and what that takes
    "cnn": (peer_networks.convolutional_network, image),
    "gnn": (peer_networks.GraphNetwork, GraphRepresentation(threshold_mev=0.1)),
    "dnn": (peer_networks.dense_network, image),
}


class Loop:
    """A loop written by hand, whose batches are made ready before its clock runs."""

    def __init__(self, model: nn.Module, represent: Callable[[EventBatch], Any], optimizer: Callable[..., Any]) -> None:
        self.model = model
        self.represent = represent
        self.optimizer = optimizer(model.parameters())
        self.seconds: list[list[float]] = []
        self.losses: list[float] = []

    def __call__(self, batches: Sequence[EventBatch]) -> None:
        ready = [(self.represent(batch), batch.class_index) for batch in batches]
        seconds, losses = peer_loop.train(self.model, ready, self.optimizer)
        self.seconds.append(seconds)
        self.losses += losses


class InTurn(Callback):
    """Lets the Trainer make some steps, then each loop those of the same batches, and so on. The last of the callbacks.

    A step of the Trainer lasts from the end of the one before to its own: loading, representation, all callbacks.
    """

    def __init__(self, loops: dict[str, Loop], rounds: int) -> None:
        super().__init__()
        self.loops = loops
        self.rounds = rounds
        self.seconds: list[list[float]] = []
        self.losses: list[float] = []
        self._taken: list[float] = []
        self._batches: list[EventBatch] = []

    def on_train_epoch_start(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        self._since = time.perf_counter()

    def on_train_batch_end(
        self, trainer: lightning.Trainer, module: Any, outputs: Any, batch: EventBatch, batch_idx: int
    ) -> None:
        self._taken.append(time.perf_counter() - self._since)
        self._batches.append(batch)
        self.losses.append(float(outputs["loss"]))
        if len(self._taken) == BLOCK:
            self.seconds.append(self._taken)
            mode = torch.get_deterministic_debug_mode()
            torch.set_deterministic_debug_mode(0)  # a plain loop does not have it
            for loop in self.loops.values():
                loop(self._batches)
            torch.set_deterministic_debug_mode(mode)
            trainer.should_stop = len(self.seconds) > self.rounds
            self._taken, self._batches = [], []
        self._since = time.perf_counter()


def rows(
    cache_dir: Path,
    name: str,
    what: str,
    *,
    most: float,
    faster: float | None,
    rounds: int,
    than_dense: float | None = None,
) -> list[Row]:
    """The step of experiment=lecture_NAME, against both loops, and against its dense form where it has one."""
    cfg = config(cache_dir, f"experiment=lecture_{name}", events=MANY)
    torch.manual_seed(cfg.seed)
    classifier = make_classifier(cfg)
    same = Loop(deepcopy(classifier.model), classifier.representation, instantiate(cfg.optimizer))
    make, represent = LECTURE[name]
    adam = partial(torch.optim.Adam, lr=cfg.optimizer.lr, weight_decay=cfg.optimizer.weight_decay)
    lecture = Loop(with_weights_of(classifier.model, make()), represent, adam)
    loops = {"same": same, "lecture": lecture}
    if than_dense is not None:
        loops["dense"] = Loop(dense_form(classifier.model), classifier.representation, instantiate(cfg.optimizer))
    turns = InTurn(loops, rounds)
    with scratch_trainer(cfg, turns, progress=False, max_epochs=2, check_val_every_n_epoch=2) as trainer:
        trainer.fit(classifier, datamodule=opened(cfg))
    found = [added(what, turns, same, most), times_as_fast(what, turns, lecture, faster, "the lecture's layers")]
    if than_dense is not None:
        found.append(times_as_fast(what, turns, loops["dense"], than_dense, "its dense form"))
    return found


def dense_form(model: Any) -> nn.Module:
    """The same network, which computes every pixel."""
    dense = deepcopy(model)
    dense.stages = None
    return dense


def with_weights_of(model: nn.Module, other: nn.Module) -> nn.Module:
    """The lecture's network with the same weights; those of pixels lie transposed in this program's."""
    with torch.no_grad():
        for mine, theirs in zip(model.parameters(), other.parameters(), strict=True):
            theirs.copy_(mine if mine.shape == theirs.shape else mine.T)
    return other


def added(what: str, turns: InTurn, loop: Loop, most: float) -> Row:
    mine, other = first_quartiles(turns, loop)
    ratio = 100 * (blocks(turns) / blocks(loop) - 1)
    how = f"{1000 * other:.2f} ms, bare loop, {losses(turns, loop)}"
    share = 100 * (mine / other - 1)
    return Row(f"{what} step", share, "% more", most, f"{1000 * mine:.2f} ms", how, quartiles(ratio), at_least=False)


def times_as_fast(what: str, turns: InTurn, loop: Loop, least: float | None, peer: str) -> Row:
    mine, other = first_quartiles(turns, loop)
    how = f"{1000 * other:.2f} ms, {peer}, {losses(turns, loop)}"
    spread = quartiles(blocks(loop) / blocks(turns))
    return Row(f"{what} step", other / mine, "x", least, f"{1000 * mine:.2f} ms", how, spread)


def first_quartiles(turns: InTurn, loop: Loop) -> tuple[float, float]:
    """Of all steps but those of a first round, which warms up: noise only adds to a time."""
    return float(np.percentile(turns.seconds[1:], 25)), float(np.percentile(loop.seconds[1:], 25))


def blocks(side: InTurn | Loop) -> np.ndarray:
    return np.sum(side.seconds[1:], axis=1)


def losses(turns: InTurn, loop: Loop) -> str:
    """How far the losses lie apart; an error where they are not those of the same training."""
    apart = float(np.abs(np.subtract(turns.losses, loop.losses)).max())
    if not apart < SAME_LOSS:
        raise AssertionError(f"the losses of {type(loop.model).__name__} are {apart} apart: not the same training")
    return f"losses within {apart:.0e}"
