"""The features of events: what a network knows of each event when its last layer decides."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from cdmtrain.batch import EventBatch
from cdmtrain.errors import InputError


@torch.no_grad()
def embed(representation: nn.Module, model: nn.Module, batch: EventBatch) -> Float[Tensor, "event feature"]:
    """Return the features of the events in a batch, float32.

    They are what the model's method `embed` returns, or, where its class has none, the input of the last nn.Linear that
    it calls.

    Args:
        representation, model: the parts of the network, in evaluation mode.
        batch: events, on the device of the network.

    Raises:
        InputError: where the model has neither, or its last nn.Linear does not take one row for each event.
    """
    if not _has_embed(model):
        with recording(model) as seen:
            model(representation(batch))
        return _checked(model, seen, batch)
    return model.embed(representation(batch)).float()  # type: ignore[operator]


def recorded_or_embedded(
    seen: list[Tensor], representation: nn.Module, model: nn.Module, batch: EventBatch
) -> Float[Tensor, "event feature"]:
    """Return the features in the list of `recording`, or those of `embed` where a model's forward does not call it."""
    return _checked(model, seen, batch) if seen else embed(representation, model, batch)


@contextmanager
def recording(model: nn.Module) -> Iterator[list[Tensor]]:
    """Yield a list which receives the features of the first batch that the model classifies inside."""
    latest: list[Tensor] = []
    first: list[Tensor] = []

    def keep(features: Tensor) -> Tensor:
        latest[:] = [features]
        return features

    def before_linear(_: nn.Module, arguments: tuple[Tensor, ...]) -> None:
        keep(*arguments[:1])

    def finish(*_: object) -> None:
        first[:] = first or latest

    with ExitStack() as stack:
        stack.callback(model.register_forward_hook(finish).remove)
        if _has_embed(model):
            own: Any = model.embed
            stack.callback(delattr, model, "embed")
            model.embed = lambda inputs: keep(own(inputs))  # type: ignore[assignment]
        else:
            for linear in (one for one in model.modules() if isinstance(one, nn.Linear)):
                stack.callback(linear.register_forward_pre_hook(before_linear).remove)
        yield first


def _has_embed(model: nn.Module) -> bool:
    return hasattr(type(model), "embed")


def _checked(model: nn.Module, seen: list[Tensor], batch: EventBatch) -> Float[Tensor, "event feature"]:
    name, advice = type(model).__name__, "give the class a method embed(input) that returns (events, features)"
    if not seen:
        raise InputError(f"{name} has no features to show: it calls no nn.Linear; {advice}")
    (features,) = seen
    if not _has_embed(model) and (features.dim() != 2 or len(features) != batch.num_events):
        raise InputError(
            f"the last nn.Linear of {name} takes {tuple(features.shape)}, not one row for each of {batch.num_events} "
            f"events; {advice}"
        )
    return features.float()
