"""The stages that are timed separately, in turn with the training steps of a run."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from copy import deepcopy
from itertools import chain, islice, repeat
from typing import Any

import torch
from torch import nn

from cdmtrain.batch import EventBatch
from cdmtrain.benchmark.rounds import Clock
from cdmtrain.classifier import Classifier

Context = Callable[[], AbstractContextManager[Any]]


class Loading:
    """The loader alone: batches gathered from the store, epoch after epoch, and not moved to a device."""

    def __init__(self, loader: Any, *, steps: int) -> None:
        self._batches = chain.from_iterable(repeat(loader))
        self._steps = steps

    def __call__(self, clock: Clock) -> None:
        clock.start()
        for batch in islice(self._batches, self._steps):
            clock.mark(batch.num_events)


class RepresentationStage:
    """The representation alone, for batches that are on the device."""

    def __init__(self, network: nn.Module, batches: Sequence[EventBatch]) -> None:
        self._network = network
        self._batches = batches

    def __call__(self, clock: Clock) -> None:
        clock.start()
        for batch in self._batches:
            self._network(batch)
            clock.mark(batch.num_events)


class Inference(RepresentationStage):
    """Representation and network without gradients, for batches that are on the device."""

    def __init__(
        self, representation: nn.Module, model: nn.Module, batches: Sequence[EventBatch], *, precision: Context
    ) -> None:
        super().__init__(deepcopy(nn.Sequential(representation, model)).eval(), batches)
        self._precision = precision

    def __call__(self, clock: Clock) -> None:
        with torch.inference_mode(), self._precision():
            super().__call__(clock)


class PlainLoop:
    """A training loop written by hand, with the same network, loss and optimizer, on tensors prepared before.

    It uses neither Lightning nor the deterministic mode.
    """

    def __init__(
        self,
        classifier: Classifier,
        batches: Sequence[tuple[Any, torch.Tensor]],
        *,
        optimizer: Callable[..., torch.optim.Optimizer],
        precision: Context,
    ) -> None:
        self.model = deepcopy(classifier.model).train()
        self._loss = classifier.loss
        self._optimizer = optimizer(self.model.parameters())
        self._batches = batches
        self._precision = precision

    def __call__(self, clock: Clock) -> None:
        mode = torch.get_deterministic_debug_mode()
        torch.set_deterministic_debug_mode(0)
        try:
            clock.start()
            for tensors, class_index in self._batches:
                self._optimizer.zero_grad()
                with self._precision():
                    loss = self._loss(self.model(tensors).float(), class_index)
                loss.backward()
                self._optimizer.step()
                clock.mark(len(class_index))
        finally:
            torch.set_deterministic_debug_mode(mode)
