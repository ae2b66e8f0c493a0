"""Turn dense images in memory into a batch of events."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from cdmtrain.batch import EventBatch
from cdmtrain.errors import InputError
from cdmtrain.particles import UNKNOWN_CLASS


def batch_of_images(images: Float[Tensor, "event row column"], *, first_index: int = 0) -> EventBatch:
    """A batch of dense images (N, S, S) of deposited energy in MeV; the particles are unknown.

    Args:
        images: the images.
        first_index: dataset index of the first one.

    Raises:
        InputError: for images that are not square, and for energies that are negative, infinite or NaN.
    """
    num_events, rows, columns = images.shape
    if rows != columns:
        raise InputError(f"images of {rows} x {columns} pixels: as many rows as columns are expected")
    flat = images.reshape(num_events, -1)
    event, pixel = flat.nonzero(as_tuple=True)
    energy = flat[event, pixel]
    wrong = (~(energy >= 0) | energy.isinf()).nonzero().flatten()
    if len(wrong):
        first = int(wrong[0])
        row, column = divmod(int(pixel[first]), columns)
        raise InputError(
            f"image {first_index + int(event[first])} has {float(energy[first])} at row {row}, column {column}; "
            "deposited energies are finite and not negative"
        )
    return EventBatch(
        pixel=pixel,
        energy=energy,
        offset=torch.cat([pixel.new_zeros(1), torch.bincount(event, minlength=num_events).cumsum(0)]),
        class_index=torch.full((num_events,), UNKNOWN_CLASS),
        dataset_index=torch.arange(first_index, first_index + num_events),
        image_size=rows,
    )


def as_images(images: object) -> Float[Tensor, "event row column"]:
    """Convert an array of images (N, S, S) to float32; anything else is an InputError."""
    array = images.detach().cpu().numpy() if isinstance(images, Tensor) else np.asarray(images)
    if array.ndim != 3 or array.dtype.kind not in "fiu":
        raise InputError(
            f"images of shape {array.shape} and type {array.dtype}: numbers of shape (N, S, S) are expected"
        )
    return torch.from_numpy(np.ascontiguousarray(array, np.float32))


def one_hit(image_size: int) -> EventBatch:
    """An event of one lit pixel, to try a network with."""
    zero = torch.zeros(1, dtype=torch.int64)
    return EventBatch(
        pixel=zero,
        energy=torch.ones(1),
        offset=torch.tensor([0, 1]),
        class_index=zero,
        dataset_index=zero,
        image_size=image_size,
    )
