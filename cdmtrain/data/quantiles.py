"""What the events of a training are like, as quantiles, and a sentence about events that are unlike them."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Int
from torch import Tensor

from cdmtrain.batch import EventBatch
from cdmtrain.data.store import EventStore

Quantiles = dict[str, list[float]]  # quantity -> its values at LEVELS

LEVELS = (0.01, 0.5, 0.99)
MOST_EVENTS = 10_000  # that are looked at, evenly spread: the median is then known to 1 % of the events
MARGIN = 2.0  # a median so much below the lowest or above the highest quantile is no chance, even of one event


def event_quantities(batch: EventBatch) -> dict[str, np.ndarray]:
    """Return the sum of an event's energies in MeV, its lit pixels and its brightest pixel in MeV, (event,) each."""
    offset, energy = batch.offset.cpu().numpy(), batch.energy.cpu().numpy().astype(np.float64)
    num_hits = np.diff(offset)
    first = offset[:-1][num_hits > 0]  # of the hits of each event that has any
    total, brightest = np.zeros(len(num_hits)), np.zeros(len(num_hits))
    if len(first):
        total[num_hits > 0] = np.add.reduceat(energy, first)
        brightest[num_hits > 0] = np.maximum.reduceat(energy, first)
    return {"sum_mev": total, "lit_pixels": num_hits.astype(np.float64), "brightest_mev": brightest}


def sampled_events(store: EventStore, dataset_index: Int[Tensor, " chosen"]) -> EventBatch:
    """Return at most MOST_EVENTS of the chosen events, evenly spread."""
    step = -(-len(dataset_index) // MOST_EVENTS)
    return store.make_batch(dataset_index[:: max(1, step)])


def quantiles(batch: EventBatch) -> Quantiles:
    """Return the quantiles of some events."""
    return {name: np.quantile(values, LEVELS).tolist() for name, values in event_quantities(batch).items()}


def difference(batch: EventBatch, trained_on: Mapping[str, Sequence[float]]) -> str:
    """Return in what the median event is unlike those of a training, as a sentence; empty where it is like them.

    Args:
        batch: some events.
        trained_on: quantiles of the training events; a quantity that is not there is not compared.
    """
    for name, values in event_quantities(batch).items():
        known = trained_on.get(name, ())
        if len(values) and len(known) == len(LEVELS):
            median, (low, usual, high) = float(np.median(values)), known
            if not low / MARGIN <= median <= high * MARGIN:
                return _sentence(name, median, usual)
    return ""


def _sentence(name: str, median: float, usual: float) -> str:
    numbers = f"{_number(median)}{{}}, those trained on {_number(usual)}"
    if name == "lit_pixels":
        why = "is there noise in them? task=convert threshold=... makes it dark" if median > usual else "are they cut?"
        return f"the median event has {numbers.format(' lit pixels')}: {why}"
    what = "the median event has" if name == "sum_mev" else "the brightest pixel of the median event has"
    return (
        f"{what} {numbers.format(' MeV')}: are these ADC counts, or another unit? task=convert scale=... makes them MeV"
    )


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
