"""The stages that are timed separately, in turn with the training steps of a run."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from copy import deepcopy
from functools import partial
from itertools import chain, islice, repeat
from typing import Any

import torch
from torch import Tensor, nn

from cdmtrain.batch import EventBatch
from cdmtrain.benchmark.rounds import Clock
from cdmtrain.classifier import Classifier

Context = Callable[[], AbstractContextManager[Any]]
Prepared = Sequence[tuple[Any, Tensor]]  # inputs of the network and classes, of each batch


def make_stages(
    classifier: Classifier,
    loader: Iterable[EventBatch],
    batches: Sequence[EventBatch],
    *,
    optimizer: Callable[..., torch.optim.Optimizer],
    precision: Context,
) -> dict[str, partial[None]]:
    """Return the stages by name; what they train or use without gradients are copies of the network.

    Args:
        classifier: network, representation and loss of the run.
        loader: the batches of an epoch.
        batches: the first ones, on the device; a block of the loader has as many.
        optimizer: called with the parameters.
        precision: makes the context in which the run computes.
    """
    representation, model = classifier.representation, deepcopy(classifier.model).train()
    network = deepcopy(nn.Sequential(representation, model)).eval()
    ready = [(representation(batch), batch.class_index) for batch in batches]
    plain = partial(train, model=model, loss=classifier.loss, optimizer=optimizer(model.parameters()))
    return {
        "loader": partial(load, batches=chain.from_iterable(repeat(loader)), steps=len(batches)),
        "representation": partial(apply, network=representation, batches=batches),
        "plain": partial(plain, batches=ready, precision=precision),
        "inference": partial(infer, network=network, batches=batches, precision=precision),
    }


def load(clock: Clock, *, batches: Iterator[EventBatch], steps: int) -> None:
    """The loader alone: batches on the device, gathered there or copied to it, epoch after epoch."""
    clock.start()
    for batch in islice(batches, steps):
        clock.mark(batch.num_events)


def apply(clock: Clock, *, network: nn.Module, batches: Sequence[EventBatch]) -> None:
    """A network alone, such as the representation, for batches that are on the device."""
    clock.start()
    for batch in batches:
        network(batch)
        clock.mark(batch.num_events)


def infer(clock: Clock, *, network: nn.Module, batches: Sequence[EventBatch], precision: Context) -> None:
    """Representation and network without gradients."""
    with torch.inference_mode(), precision():
        apply(clock, network=network, batches=batches)


def train(
    clock: Clock,
    *,
    model: nn.Module,
    loss: nn.Module,
    optimizer: torch.optim.Optimizer,
    batches: Prepared,
    precision: Context,
) -> None:
    """A training loop written by hand, on tensors prepared before, without Lightning and deterministic mode."""
    mode = torch.get_deterministic_debug_mode()
    torch.set_deterministic_debug_mode(0)
    try:
        clock.start()
        for tensors, class_index in batches:
            optimizer.zero_grad()
            with precision():
                value = loss(model(tensors).float(), class_index)
            value.backward()
            optimizer.step()
            clock.mark(len(class_index))
    finally:
        torch.set_deterministic_debug_mode(mode)
