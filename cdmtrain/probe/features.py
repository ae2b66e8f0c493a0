"""The features of events: what a network knows of each event when its last layer decides."""

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
    inputs = representation(batch)
    if hasattr(type(model), "embed"):
        return model.embed(inputs).float()  # type: ignore[operator]
    name, features = type(model).__name__, _input_of_last_linear(model, inputs)
    advice = "give the class a method embed(input) that returns (events, features)"
    if features is None:
        raise InputError(f"{name} has no features to show: it calls no nn.Linear; {advice}")
    if features.dim() != 2 or len(features) != batch.num_events:
        raise InputError(
            f"the last nn.Linear of {name} takes {tuple(features.shape)}, not one row for each of {batch.num_events} "
            f"events; {advice}"
        )
    return features.float()


def _input_of_last_linear(model: nn.Module, inputs: object) -> Tensor | None:
    seen: list[Tensor] = []

    def remember(_: nn.Module, arguments: tuple[Tensor, ...]) -> None:
        seen[:] = arguments[:1]

    hooks = [one.register_forward_pre_hook(remember) for one in model.modules() if isinstance(one, nn.Linear)]
    try:
        model(inputs)
    finally:
        for hook in hooks:
            hook.remove()
    return seen[0] if seen else None
