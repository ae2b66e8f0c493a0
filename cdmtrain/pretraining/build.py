"""Build the network of a pretraining, the objective that fits it, and what trains both."""

import torch
from omegaconf import DictConfig
from torch import nn

from cdmtrain.config.build import build
from cdmtrain.config.targets import find_class
from cdmtrain.data.images import one_hit
from cdmtrain.pretraining.pretraining import Pretraining
from cdmtrain.runs.open import build_network, training_settings


def make_pretraining(cfg: DictConfig, model: nn.Module | None = None) -> Pretraining:
    """Build what `cdmtrain.runs.open.make_classifier` builds, with the objective in place of a loss.

    Raises:
        InputError: where the network does not give the features that the objective needs.
    """
    settings, network = training_settings(cfg), build_network(cfg, model)
    width = _num_features(find_class(cfg, "objective"), int(cfg.data.image_size), **network)
    objective = build(cfg, "objective", num_features=width)
    return Pretraining(objective=objective, **network, **settings)


@torch.no_grad()
def _num_features(objective: type, image_size: int, *, representation: nn.Module, model: nn.Module) -> int:
    """The number of features that the network gives to an objective."""
    model.eval()
    features = objective.encode(representation, model, one_hit(image_size))  # type: ignore[attr-defined]
    model.train()
    return int(features.shape[1])
