"""Small networks and objectives, and events of a few pixels."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from cdmtrain.batch import EventBatch
from cdmtrain.model.sparse_resnet import SparseResNet
from cdmtrain.model.transformer import Transformer
from cdmtrain.pretraining.contrastive import Contrastive
from cdmtrain.pretraining.masked import Masked
from cdmtrain.pretraining.pretraining import Pretraining
from cdmtrain.representation import features
from cdmtrain.representation.hits import HitsRepresentation
from cdmtrain.representation.order import EnergyOrder
from cdmtrain.representation.sequence import SequenceRepresentation

SIZE = 16
Network = tuple[nn.Module, nn.Module]  # representation and model


def sparse_resnet() -> Network:
    representation = HitsRepresentation(features={"energy": features.Energy()})
    return representation, SparseResNet(image_size=SIZE, channels=[4, 6], blocks=[1, 1], dropout=0.0)


def transformer() -> Network:
    model = Transformer(width=8, depth=2, heads=2, dropout=0.0, frequencies=3)
    return SequenceRepresentation(order=EnergyOrder()), model


NETWORKS: dict[str, Callable[[], Network]] = {"sparse_resnet": sparse_resnet, "transformer": transformer}


def masked(num_features: int, **settings: Any) -> Masked:
    defaults = {"patch": 4, "share": 0.5, "energy_weight": 1.0, "width": 8}
    return Masked(**{**defaults, **settings}, num_features=num_features)


def contrastive(num_features: int, **settings: Any) -> Contrastive:
    defaults = {"invariance": 25.0, "variance": 25.0, "covariance": 1.0, "width": 12}
    return Contrastive(**{**defaults, **settings}, num_features=num_features)


def pretraining(network: str, objective: Callable[..., Any], batch: EventBatch, **settings: Any) -> Pretraining:
    """A pretraining with weights from a seed."""
    torch.manual_seed(1)
    representation, model = NETWORKS[network]()
    kind = Masked if objective is masked else Contrastive
    with torch.no_grad():
        num_features = kind.encode(representation, model, batch).shape[1]
    adam = lambda parameters: torch.optim.Adam(parameters, lr=0.01)  # noqa: E731
    parts = {"model": model, "representation": representation, "optimizer": adam}
    return Pretraining(objective=objective(num_features), **parts, **settings)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)
