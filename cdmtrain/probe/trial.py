"""Two events through a network of the user before it is trained: its logits and loss need the right shape."""

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

from cdmtrain.batch import EventBatch
from cdmtrain.classifier import Classifier
from cdmtrain.errors import InputError

PARTS = ("augmentation", "representation", "model", "loss")


def try_network(classifier: Classifier, batch: EventBatch, names: Mapping[str, str], *, classes: int) -> None:
    """Refuse a network whose logits, loss or augmented events training cannot use.

    Nothing is drawn from the random numbers of the training, and nothing is learned. What a part raises is raised as it
    is. Without a part of the user nothing happens.

    Args:
        classifier: the network and what trains it, on the device of the batch.
        batch: a few events.
        names: {part: class of the user}, for the sentences.
        classes: number of logits C.

    Raises:
        InputError: that says what was returned and what is expected.
    """
    if not set(PARTS) & set(names):
        return
    whose = {part: f"your {part} {names[part]}" if part in names else f"the {part}" for part in PARTS}
    mode = classifier.training
    classifier.eval()
    with _untouched_streams(), torch.enable_grad():
        if classifier.augmentation is not None:
            moved = classifier.augmentation(batch, torch.Generator(batch.pixel.device).manual_seed(0))
            if not isinstance(moved, EventBatch) or moved.num_events != batch.num_events:
                expected = "an EventBatch of the same events is expected"
                raise InputError(f"{whose['augmentation']} returned {_described(moved)}; {expected}")
            batch = moved
        logits = classifier.model(classifier.representation(batch))
        _check_logits(logits, whose["model"], (batch.num_events, classes), classifier.model)
        loss = classifier.loss(logits.float(), batch.class_index)
    if not isinstance(loss, Tensor) or loss.dim():
        raise InputError(f"{whose['loss']} returned {_described(loss)}; one number, the mean over events, is expected")
    classifier.train(mode)


def _check_logits(logits: object, whose: str, shape: tuple[int, int], model: nn.Module) -> None:
    expected = f"logits of shape {shape}, for {shape[0]} events and {shape[1]} classes, are expected"
    if not isinstance(logits, Tensor) or logits.shape != shape:
        raise InputError(f"{whose} returned {_described(logits)}; {expected}")
    if not logits.is_floating_point():
        raise InputError(f"{whose} returned {logits.dtype}; floating-point {expected}")
    weights = list(model.parameters())
    if not weights:
        raise InputError(f"{whose} has no parameter, so there is nothing to train")
    if any(one.requires_grad for one in weights) and not logits.requires_grad:
        raise InputError(f"{whose} returned logits that depend on no parameter; leave out detach() and no_grad()")


def _described(value: object) -> str:
    return f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else f"a {type(value).__name__}"


@contextmanager
def _untouched_streams() -> Iterator[None]:
    """Afterwards the random numbers of Python, numpy and torch are what they were before."""
    of_python, of_numpy = random.getstate(), np.random.get_state()  # noqa: NPY002  the user's code may draw from it
    with torch.random.fork_rng():
        yield
    random.setstate(of_python)
    np.random.set_state(of_numpy)  # noqa: NPY002
