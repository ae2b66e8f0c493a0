"""A batch without some of its hits."""

from dataclasses import replace

import torch
from jaxtyping import Bool
from torch import Tensor

from cdmtrain.batch import EventBatch


def kept(batch: EventBatch, which: Bool[Tensor, " hit"]) -> EventBatch:
    """The batch with these hits alone; an event that loses all stays, without a hit."""
    number = torch.nn.functional.pad(which.cumsum(0), (1, 0))  # of hits kept before each
    return replace(batch, pixel=batch.pixel[which], energy=batch.energy[which], offset=number[batch.offset])
