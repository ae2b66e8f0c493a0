"""Compare a file with the run that it is from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor, nn

from cdmtrain.batch import EventBatch

BATCHES = (1, 9)  # events of the first two batches; the others have
CHECK_BATCH = 100
FULL_SIDE = 64  # pixels of the square that is lit in a full event: attention costs the square of their number
Exported = Callable[[EventBatch], np.ndarray]  # the probabilities that a file computes


def check_batches(make_batch: Callable[[Tensor], EventBatch], chosen: Int[Tensor, " chosen"]) -> Iterator[EventBatch]:
    """Batches of 1, 9 and 100 of the chosen events, then events without a hit, of one hit and of a filled square."""
    for number in BATCHES:
        yield make_batch(chosen[:number])
    for some in chosen.split(CHECK_BATCH):
        yield make_batch(some)
    yield extreme_events(make_batch(chosen[:1]))


def extreme_events(event: EventBatch) -> EventBatch:
    """An event without a hit, one of a single hit, a filled square, the given event, and again one without a hit."""
    size = event.image_size
    side = min(FULL_SIDE, size)
    square = (torch.arange(side).unsqueeze(1) * size + torch.arange(side)).flatten()
    energy = 0.1 + torch.rand(len(square), generator=torch.Generator().manual_seed(1))
    middle = torch.tensor([size * size // 2 + size // 2])
    numbers = torch.tensor([0, 0, 1, len(square), len(event.pixel), 0])
    unknown = torch.full((5,), -1)
    return EventBatch(
        pixel=torch.cat([middle, square, event.pixel]),
        energy=torch.cat([torch.ones(1), energy, event.energy]),
        offset=numbers.cumsum(0),
        class_index=unknown,
        dataset_index=unknown,
        image_size=size,
    )


@torch.no_grad()
def compare(network: nn.Module, exported: Exported, batches: Iterable[EventBatch], tolerance: float) -> Comparison:
    """Compare probabilities event by event, up to the first batch in which one differs by more than `tolerance`."""
    found = Comparison()
    for batch in batches:
        expected = network(batch).softmax(1).numpy()
        found.add(expected, exported(batch), batch.class_index.numpy())
        if found.difference > tolerance:
            break
    return found


class Comparison:
    """The largest difference of a probability, and how many events with a known class each side classifies rightly."""

    def __init__(self) -> None:
        self.difference = 0.0
        self.num_known = self.right_of_run = self.right_of_file = 0

    def add(self, expected: np.ndarray, found: np.ndarray, class_index: np.ndarray) -> None:
        if found.shape != expected.shape:
            self.difference = np.inf
            return
        worst = float(np.abs(found - expected).max(initial=0))
        self.difference = max(self.difference, worst) if worst == worst else np.inf
        known = class_index >= 0
        self.num_known += int(known.sum())
        self.right_of_run += int((expected.argmax(1) == class_index)[known].sum())
        self.right_of_file += int((found.argmax(1) == class_index)[known].sum())
