"""One sample of events in every format that can be converted."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch

from cdmtrain.data.conversion.arrays import open_arrays
from cdmtrain.data.conversion.convert import Settings, Summary, write_converted

N, SIDE = 30, 12
CODES = np.array([11, 13, 22, 2212], np.int32)
rng = np.random.default_rng(5)
IMAGES = np.where(rng.random((N, SIDE, SIDE)) < 0.1, rng.gamma(2, 3, (N, SIDE, SIDE)), 0).astype(np.float32)
IMAGES[3] = 0
LABELS = CODES[rng.integers(0, 4, N)]


def write_npy(path: Path, images: np.ndarray, labels: np.ndarray | None) -> None:
    np.save(path, images)


def write_npz(path: Path, images: np.ndarray, labels: np.ndarray | None) -> None:
    np.savez(path, images=images, **({} if labels is None else {"labels": labels}))


def write_compressed(path: Path, images: np.ndarray, labels: np.ndarray | None) -> None:
    np.savez_compressed(path, other=np.zeros(3), images=images, **({} if labels is None else {"labels": labels}))


def write_torch(path: Path, images: np.ndarray, labels: np.ndarray | None) -> None:
    tensors = {"images": torch.from_numpy(images)}
    torch.save(tensors if labels is None else tensors | {"labels": torch.from_numpy(labels)}, path)


def write_pair(path: Path, images: np.ndarray, labels: np.ndarray | None) -> None:
    assert labels is not None
    torch.save((torch.from_numpy(images), torch.from_numpy(labels)), path)


def write_hdf5(path: Path, images: np.ndarray, labels: np.ndarray | None) -> None:
    with h5py.File(path, "w") as file:
        file["deep/pictures"] = images
        if labels is not None:
            file["deep/kind"] = labels


NAMED = {"image": "deep/pictures", "label": "deep/kind"}
FORMATS: list[tuple[str, Callable[..., None], dict[str, str]]] = [
    ("a.npz", write_npz, {}),
    ("a.npz", write_compressed, {}),
    ("a.pt", write_torch, {}),
    ("a.pt", write_pair, {}),
    ("a.h5", write_hdf5, NAMED),
]


def convert(path: Path, output: Path, keys: dict[str, Any] | None = None, **settings: Any) -> Summary:
    with open_arrays(path, keys or {}) as source:
        return write_converted(source, output, Settings(**settings), attributes={}, progress=lambda events: None)


def read(path: Path) -> tuple[np.ndarray, np.ndarray | None, dict[str, np.ndarray]]:
    """Images, PDG codes and all other datasets of an HDF5 file."""
    with h5py.File(path) as file:
        content = {name: one[:] for name, one in file.items()}
    return content.pop("image"), content.pop("pdg", None), content
