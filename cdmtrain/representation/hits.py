"""The lit pixels as they are."""

from torch import nn

from cdmtrain.batch import EventBatch, Hits


class HitsRepresentation(nn.Module):
    """Pixel number and energy (MeV) of every hit, for layers that eat sparse input.

    Shapes: EventBatch of N hits in B events -> Hits with pixel (N,), energy (N,), offset (B + 1,).
    """

    def forward(self, batch: EventBatch) -> Hits:
        return Hits(pixel=batch.pixel, energy=batch.energy, offset=batch.offset, image_size=batch.image_size)
