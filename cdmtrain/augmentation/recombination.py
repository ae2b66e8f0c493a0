"""Recombination: the share of the ionisation charge that does not reach the readout, approximated on images."""

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from cdmtrain.augmentation.effect import DetectorEffect, check_setting
from cdmtrain.batch import EventBatch
from cdmtrain.simulation.argon import DENSITY
from cdmtrain.simulation.block import BOX_ALPHA, BOX_BETA, LEAST_MEV_CM

FIELD_KV_CM = 0.5


class Recombination(DetectorEffect):
    """Reduce energies by recombination, whose strength each event draws uniformly from 0 to the largest one.

    Args:
        largest: 0 for none, 1 for that of nature at 0.5 kV/cm; InputError outside.
        pitch_cm: side of a pixel.
    """

    def __init__(self, *, largest: float, pitch_cm: float) -> None:
        super().__init__("recombination.largest", largest, limit=1.0)
        check_setting("recombination.pitch_cm", pitch_cm, 1e-3)
        self.pitch_cm = pitch_cm

    def affect(self, batch: EventBatch, strength: Float[Tensor, " event"], generator: torch.Generator) -> EventBatch:
        return recombined(batch, strength, pitch_cm=self.pitch_cm)


def recombined(batch: EventBatch, strength: Float[Tensor, " event"], *, pitch_cm: float = 0.3) -> EventBatch:
    """Multiply the energy E of each pixel by 1 - s (1 - R(E / pitch)), s the strength of its event.

    R is the modified box model of ArgoNeuT, JINST 8 (2013) P08005, as in the simulation. The simulation knows the
    ionisation density of each deposit; a pixel's energy over its side stands for it here.
    """
    surviving = surviving_share(batch.energy / pitch_cm)
    return replace(batch, energy=batch.energy * (1 - strength[batch.event] * (1 - surviving)))


def surviving_share(density_mev_cm: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Return R = ln(alpha + x) / x, x = beta / (rho field) dE/dx, at 0.5 kV/cm."""
    x = BOX_BETA / (DENSITY * FIELD_KV_CM) * density_mev_cm.clamp(min=LEAST_MEV_CM)
    return ((BOX_ALPHA + x).log() / x).clamp(0, 1)
