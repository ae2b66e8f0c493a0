"""The features of hits and of events that a network gives to an objective."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from cdmtrain.batch import EventBatch
from cdmtrain.errors import InputError

NEEDED = {
    "hit_features": "hit_features(input), which returns (hits, features)",
    "embed": "embed(input), which returns (events, features)",
}


def features_of_hits(representation: nn.Module, model: nn.Module, batch: EventBatch) -> Float[Tensor, "hit feature"]:
    """The features of each hit, in the order of the batch, in float32.

    Raises:
        InputError: where the network has no method `hit_features`, or it returns something else.
    """
    features = _call(model, "hit_features", representation(batch), batch.pixel.shape[0])
    if (order := getattr(representation, "order", None)) is None:
        return features
    return torch.empty_like(features).index_copy(0, order(batch), features)


def features_of_events(
    representation: nn.Module, model: nn.Module, batch: EventBatch
) -> Float[Tensor, "event feature"]:
    """The features of each event before the last layer of the network, in float32.

    Raises:
        InputError: where the network has no method `embed`, or it returns something else.
    """
    return _call(model, "embed", representation(batch), batch.num_events)


def _call(model: nn.Module, method: str, inputs: object, rows: int) -> Float[Tensor, "row feature"]:
    name = type(model).__name__
    if not callable(getattr(model, method, None)):
        others = [one for one in NEEDED if one != method and callable(getattr(model, one, None))]
        instead = "; objective=contrastive needs embed alone" if others == ["embed"] else ""
        raise InputError(
            f"{name} cannot be trained with this objective: it has no method {NEEDED[method]}{instead}; "
            "model=sparse_resnet and model=transformer have both"
        )
    features = getattr(model, method)(inputs)
    if not isinstance(features, Tensor) or features.dim() != 2 or len(features) != rows:
        found = tuple(features.shape) if isinstance(features, Tensor) else type(features).__name__
        raise InputError(f"{name}.{method} returned {found}; {rows} rows of features are expected")
    return features.float()
