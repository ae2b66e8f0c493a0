"""Rows and columns with much more noise than the others."""

import torch
from jaxtyping import Float
from torch import Tensor

from cdmtrain.augmentation.effect import DetectorEffect, check_setting
from cdmtrain.augmentation.lines import draw_lines, on_lines
from cdmtrain.augmentation.noise import points_by_pixel, with_noise
from cdmtrain.batch import EventBatch


class NoisyLines(DetectorEffect):
    """Add noise to rows and columns, each chosen with a probability that each event draws from 0 to the largest one.

    Args:
        largest_probability: of a row or a column, from 0 to 1; InputError otherwise.
        noise_mev: standard deviation of the noise in a pixel of a chosen line, MeV.
        threshold_mev: pixels of such a line up to it are dropped; at least the noise, InputError otherwise.
    """

    def __init__(self, *, largest_probability: float, noise_mev: float, threshold_mev: float) -> None:
        super().__init__("noisy_lines.largest_probability", largest_probability, limit=1.0)
        check_setting("noisy_lines.noise_mev", noise_mev, 0.0)
        check_setting("noisy_lines.threshold_mev", threshold_mev, noise_mev)
        self.noise_mev, self.threshold_mev = noise_mev, threshold_mev

    def affect(self, batch: EventBatch, strength: Float[Tensor, " event"], generator: torch.Generator) -> EventBatch:
        return with_noisy_lines(batch, strength, generator, noise_mev=self.noise_mev, threshold_mev=self.threshold_mev)


def with_noisy_lines(
    batch: EventBatch,
    probability: Float[Tensor, " event"],
    generator: torch.Generator,
    *,
    noise_mev: float = 0.1,
    threshold_mev: float = 0.12,
) -> EventBatch:
    """Choose each row and each column with the probability of its event, and add noise to every pixel of them.

    A pixel of a chosen line that is up to the threshold is dropped, and a dark one lights up as in `noisy`. Pixels
    where two chosen lines cross have the same noise as others. Pixels of other lines do not change.
    """
    lines, size = draw_lines(batch, probability, generator), batch.image_size
    noise, threshold = (torch.full_like(probability, value) for value in (noise_mev, threshold_mev))
    event, axis, line = lines.nonzero(as_tuple=True)
    count = torch.poisson(size * points_by_pixel(noise, threshold)[event], generator).long()
    event, axis, line = (one.repeat_interleave(count) for one in (event, axis, line))
    along = torch.randint(size, event.shape, generator=generator, device=event.device)
    row, column = torch.where(axis == 0, line, along), torch.where(axis == 0, along, line)
    counted_twice = (axis == 1) & lines[event, 0, row]  # the row has its own points there
    points = ((event * size + row) * size + column)[~counted_twice]
    return with_noise(batch, on_lines(batch, lines), points, noise, threshold, generator)
