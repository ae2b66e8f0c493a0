"""Peer: a Dataset that reads one HDF5 image an item, and a collate function."""

from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from cdmtrain.particles import PDG_CODES


class ImageDataset(Dataset):
    def __init__(self, path: Path) -> None:
        file = h5py.File(path)
        self.image = file["image"]
        self.class_index = np.searchsorted(PDG_CODES, file["pdg"][:])

    def __len__(self) -> int:
        return len(self.image)

    def __getitem__(self, item: int) -> tuple[np.ndarray, int]:
        return self.image[item], int(self.class_index[item])


def collate(events: Sequence[tuple[np.ndarray, int]]) -> tuple[Tensor, Tensor]:
    images, classes = zip(*events, strict=True)
    return torch.from_numpy(np.stack(images)).unsqueeze(1), torch.tensor(classes)


def make_loader(path: Path, *, batch_size: int) -> DataLoader:
    return DataLoader(ImageDataset(path), batch_size=batch_size, shuffle=True, collate_fn=collate)


def read_in_chunks(path: Path, *, chunk: int) -> None:
    """Read all images, so many at a time, and do nothing with them."""
    with h5py.File(path) as file:
        image = file["image"]
        for first in range(0, len(image), chunk):
            image[first : first + chunk]
