"""Electronic noise in every pixel, with a threshold."""

from dataclasses import replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from cdmtrain.augmentation.effect import DetectorEffect, check_setting
from cdmtrain.augmentation.summed import places, sum_by_pixel
from cdmtrain.batch import EventBatch


class Noise(DetectorEffect):
    """Add noise to every pixel, with a width that each event draws uniformly from 0 to the largest one.

    Args:
        largest_mev: the largest standard deviation, MeV; InputError below 0.
        threshold: pixels up to this multiple of their event's noise are dropped; 4 lights one dark pixel in 32 000.
            InputError below 1.
    """

    def __init__(self, *, largest_mev: float, threshold: float) -> None:
        super().__init__("noise.largest_mev", largest_mev)
        check_setting("noise.threshold", threshold, 1.0)
        self.threshold = threshold

    def affect(self, batch: EventBatch, strength: Float[Tensor, " event"], generator: torch.Generator) -> EventBatch:
        return noisy(batch, strength, self.threshold * strength, generator)


def noisy(
    batch: EventBatch,
    noise_mev: Float[Tensor, " event"],
    threshold_mev: Float[Tensor, " event"],
    generator: torch.Generator,
) -> EventBatch:
    """Add Gaussian noise to every pixel of each event and drop the pixels up to the threshold.

    A dark pixel lights up if its noise alone exceeds the threshold, each independently of the others, with the energy
    of its noise. They are drawn without an image: as many points as a Poisson distribution gives fall on pixels at
    random, and a pixel lights up if one falls on it, which has the probability of the noise exactly.

    Args:
        batch: the events.
        noise_mev: standard deviation of the noise in each event; events with 0 keep their pixels above the threshold.
        threshold_mev: of each event, at least the noise.
        generator: of the random numbers.
    """
    num_pixels = batch.image_size**2
    mean = num_pixels * points_by_pixel(noise_mev, threshold_mev)
    event = torch.repeat_interleave(torch.poisson(mean, generator).long())
    pixel = torch.randint(num_pixels, event.shape, generator=generator, device=event.device)
    everywhere = torch.ones_like(batch.pixel, dtype=torch.bool)
    return with_noise(batch, everywhere, event * num_pixels + pixel, noise_mev, threshold_mev, generator)


def points_by_pixel(noise: Float[Tensor, " event"], threshold: Float[Tensor, " event"]) -> Float[Tensor, " event"]:
    """Return the mean number of points on a dark pixel: -ln(1 - p), p the probability that noise exceeds threshold."""
    return -torch.log1p(-_exceeding(noise, threshold))


def with_noise(
    batch: EventBatch,
    is_noisy: Tensor,
    points: Int[Tensor, " point"],
    noise_mev: Float[Tensor, " event"],
    threshold_mev: Float[Tensor, " event"],
    generator: torch.Generator,
) -> EventBatch:
    """Add noise to the hits that are noisy, and light the dark pixels on which points fell.

    Args:
        batch: the events.
        is_noisy: (hit) which hits have noise and a threshold; the others stay as they are.
        points: event * image_size^2 + pixel of each, in any order, perhaps several times.
        noise_mev, threshold_mev: of each event.
        generator: of the random numbers.
    """
    event, lit = batch.event, places(batch)
    draw = torch.randn(batch.energy.shape, generator=generator, device=event.device)
    energy = torch.where(is_noisy, batch.energy + noise_mev[event] * draw, batch.energy)
    stays = ~is_noisy | (energy > threshold_mev[event])
    dark = points.unique()
    if len(lit):
        nearest = torch.searchsorted(lit, dark).clamp(max=len(lit) - 1)
        dark = dark[lit[nearest] != dark]
    of_dark = dark // batch.image_size**2
    noise, threshold = noise_mev[of_dark], threshold_mev[of_dark]
    # the smaller tail is the accurate one: -ndtri(u p) is distributed like noise beyond the threshold, u from 0 to 1
    u = 1 - torch.rand(dark.shape, generator=generator, device=dark.device)
    above = torch.maximum(-noise * torch.special.ndtri(u * _exceeding(noise, threshold)), threshold)
    found = replace(batch, energy=energy).mask_hits(stays)
    place = torch.cat([places(found), dark])
    return sum_by_pixel(batch, place, torch.cat([found.energy, above.to(energy.dtype)]))


def _exceeding(noise: Float[Tensor, "*shape"], threshold: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """The probability that noise exceeds the threshold; 0 without noise."""
    return torch.where(noise > 0, torch.special.ndtr(-threshold / noise), 0.0)
