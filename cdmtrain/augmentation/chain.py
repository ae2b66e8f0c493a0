"""Several augmentations, one after the other."""

from collections.abc import Iterable

import torch
from torch import nn

from cdmtrain.batch import EventBatch


class Chain(nn.Module):
    """Apply the augmentations in their order, with the random numbers of one generator."""

    def __init__(self, augmentations: Iterable[nn.Module]) -> None:
        super().__init__()
        self.augmentations = nn.ModuleList(augmentations)

    def forward(self, batch: EventBatch, generator: torch.Generator) -> EventBatch:
        for augmentation in self.augmentations:
            batch = augmentation(batch, generator)
        return batch
