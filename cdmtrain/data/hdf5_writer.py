"""Write simulated events as a file in the challenge's format (described in hdf5.py)."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Protocol

import h5py
import numpy as np
from jaxtyping import Float32, Int32, Int64

from cdmtrain.atomic import whole_file


class SimulatedBlock(Protocol):
    """Consecutive events of a simulation; its other fields (pdg, direction, ...) are arrays with one row an event."""

    offset: Int64[np.ndarray, " event_plus_1"]
    pixel: Int32[np.ndarray, " hit"]
    energy_mev: Float32[np.ndarray, " hit"]


def write_challenge_file(
    path: Path,
    blocks: Iterable[SimulatedBlock],
    *,
    num_events: int,
    image_size: int,
    attributes: Mapping[str, str | int | float],
) -> None:
    """Write dense, compressed images in one pass and bounded memory, whole or not at all.

    Every field of a block besides the sparse image becomes a dataset: pdg, kinetic_energy_mev, vertex_px, ...
    """
    sum_mev = sum_squares = 0.0
    written = 0
    with whole_file(path) as temporary, h5py.File(temporary, "w") as file:
        shape = (num_events, image_size, image_size)
        chunks = (min(8, num_events), image_size, image_size)
        image = file.create_dataset("image", shape, np.float32, chunks=chunks, compression="gzip", compression_opts=1)
        file["index"] = np.arange(num_events, dtype=np.int32)
        for block in blocks:
            dense = _dense_images(block, image_size)
            image[written : written + len(dense)] = dense
            for name, values in _columns(block).items():
                column = file.require_dataset(name, (num_events, *values.shape[1:]), values.dtype)
                column[written : written + len(values)] = values
            energy = block.energy_mev.astype(np.float64)
            sum_mev, sum_squares = sum_mev + energy.sum(), sum_squares + (energy**2).sum()
            written += len(dense)
        assert written == num_events, f"{written} events came, {num_events} were announced"
        num_pixels = num_events * image_size**2
        mean = sum_mev / num_pixels
        file["mean"] = np.array([mean])
        file["std"] = np.array([np.sqrt(max(sum_squares / num_pixels - mean**2, 0.0))])
        file.attrs.update(attributes)


def _dense_images(block: SimulatedBlock, image_size: int) -> Float32[np.ndarray, "event row column"]:
    num_events = len(block.offset) - 1
    dense = np.zeros((num_events, image_size**2), np.float32)
    event = np.repeat(np.arange(num_events), np.diff(block.offset))
    dense[event, block.pixel] = block.energy_mev
    return dense.reshape(num_events, image_size, image_size)


def _columns(block: SimulatedBlock) -> dict[str, np.ndarray]:
    return {name: values for name, values in vars(block).items() if name not in ("offset", "pixel", "energy_mev")}
