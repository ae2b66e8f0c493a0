"""Diffusion: the charge of a pixel spreads over its neighbours while it drifts, approximated on images."""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from cdmtrain.augmentation.effect import DetectorEffect, check_setting
from cdmtrain.augmentation.summed import places, sum_by_pixel
from cdmtrain.batch import EventBatch

LEAST_SHARE = 1e-4  # of a pixel's charge along one axis; smaller ones are given to the others
REACH = 4  # standard deviations, beyond which every share is smaller


class Diffusion(DetectorEffect):
    """Spread the energy of each pixel by a Gaussian whose width each event draws uniformly from 0 to the largest one.

    Args:
        largest_cm: the largest width (standard deviation), cm; InputError below 0.
        threshold_mev: pixels below it are dropped afterwards.
        pitch_cm: side of a pixel.
    """

    def __init__(self, *, largest_cm: float, threshold_mev: float, pitch_cm: float) -> None:
        super().__init__("diffusion.largest_cm", largest_cm)
        check_setting("diffusion.threshold_mev", threshold_mev, 0.0)
        check_setting("diffusion.pitch_cm", pitch_cm, 1e-3)
        self.threshold_mev, self.pitch_cm = threshold_mev, pitch_cm

    def affect(self, batch: EventBatch, strength: Float[Tensor, " event"], generator: torch.Generator) -> EventBatch:
        return diffused(batch, strength, threshold_mev=self.threshold_mev, pitch_cm=self.pitch_cm)


def diffused(
    batch: EventBatch, width_cm: Float[Tensor, " event"], *, threshold_mev: float = 0.1, pitch_cm: float = 0.3
) -> EventBatch:
    """Spread the charge of each pixel, taken as uniform over the pixel, by a Gaussian in rows and in columns.

    Pixels below the threshold are dropped afterwards, and charge that leaves the image is lost. Events of width 0 do
    not change. The sums are exact, but for shares below 1e-4 along an axis, which are given to the others.
    """
    width = width_cm / pitch_cm
    radius = math.ceil(REACH * float(width.max()) + 0.5) if batch.num_events else 0
    shares = shares_of_neighbours(width, radius)
    for stride, line in ((1, "column"), (batch.image_size, "row")):
        batch = _spread(batch, shares, stride, getattr(batch, line))
    least = torch.where(width > 0, threshold_mev, 0.0)
    return batch.mask_hits((batch.energy > 0) & (batch.energy >= least[batch.event]))


def shares_of_neighbours(width: Float[Tensor, " event"], radius: int) -> Float[Tensor, "event share"]:
    """Return which share of a pixel's charge a Gaussian leaves in the pixels at -radius, ..., radius along one axis.

    The share at k is G(k + 1) - 2 G(k) + G(k - 1), where G(x) = x Phi(x / s) + s phi(x / s) integrates the normal
    distribution function and s is the width in pixels. G(x) = max(x, 0) + G(-|x|), so rounding does not matter.
    """
    step = torch.arange(-radius - 1, radius + 2, device=width.device, dtype=width.dtype)
    s = width.clamp(min=1e-30).unsqueeze(1)
    z = -step.abs() / s
    tail = s * (z * torch.special.ndtr(z) + torch.exp(-z * z / 2) / math.sqrt(2 * math.pi))
    share = tail[:, 2:] - 2 * tail[:, 1:-1] + tail[:, :-2] + (step[1:-1] == 0)
    share = share * (share >= LEAST_SHARE)
    return share / share.sum(1, keepdim=True)


def _spread(
    batch: EventBatch, shares: Float[Tensor, "event share"], stride: int, line: Int[Tensor, " hit"]
) -> EventBatch:
    """Share the energy of each hit among the pixels beside it, `stride` pixel numbers apart, along one axis."""
    radius = shares.shape[1] // 2
    step = torch.arange(-radius, radius + 1, device=line.device)
    target, energy = line.unsqueeze(1) + step, batch.energy.unsqueeze(1) * shares[batch.event]
    inside = (target >= 0) & (target < batch.image_size) & (energy > 0)
    place = places(batch).unsqueeze(1) + stride * step
    return sum_by_pixel(batch, place[inside], energy[inside])
