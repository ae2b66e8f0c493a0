"""Batches straight from a file, without a store: every event once, in order, in bounded memory."""

from collections.abc import Iterator

import numpy as np
import torch

from cdmtrain.batch import EventBatch
from cdmtrain.data.cache import interruptible
from cdmtrain.data.hdf5 import ChallengeFile
from cdmtrain.particles import Classes, class_indices


def stream_batches(file: ChallengeFile, classes: Classes, *, batch_size: int) -> Iterator[EventBatch]:
    """Every event of the file, `batch_size` at a time; the last batch holds the rest."""
    class_index = torch.from_numpy(class_indices(file.pdg, classes)).long()
    num_hits, pixel, energy = np.empty(0, np.int64), np.empty(0, np.int32), np.empty(0, np.float32)
    first = 0  # index in the file of the first event that has not been given
    for block in interruptible(file.blocks()):
        num_hits = np.concatenate([num_hits, np.diff(block.offset)])
        pixel, energy = np.concatenate([pixel, block.pixel]), np.concatenate([energy, block.energy_mev])
        is_last = first + len(num_hits) == file.num_events
        while len(num_hits) >= batch_size or (is_last and len(num_hits)):
            offset = np.concatenate([[0], num_hits[:batch_size].cumsum()])
            hits = int(offset[-1])
            dataset_index = np.arange(first, first + len(offset) - 1)
            yield EventBatch(
                pixel=torch.from_numpy(pixel[:hits]).long(),
                energy=torch.from_numpy(energy[:hits]),
                offset=torch.from_numpy(offset),
                class_index=class_index[dataset_index],
                dataset_index=torch.from_numpy(dataset_index),
                image_size=file.image_size,
            )
            first += len(dataset_index)
            num_hits, pixel, energy = num_hits[batch_size:], pixel[hits:], energy[hits:]
