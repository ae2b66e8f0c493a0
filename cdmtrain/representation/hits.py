"""The lit pixels as they are."""

from torch import nn

from cdmtrain.batch import EventBatch, Hits
from cdmtrain.representation.scale import LINEAR, Scale


class HitsRepresentation(nn.Module):
    """Pixel number and energy of every hit, for layers that eat sparse input; MeV, or what `scale` makes of it.

    Shapes: EventBatch of N hits in B events -> Hits with pixel (N,), energy (N,), offset (B + 1,).
    """

    def __init__(self, *, scale: Scale = LINEAR) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, batch: EventBatch) -> Hits:
        energy = self.scale(batch.energy)
        return Hits(pixel=batch.pixel, energy=energy, offset=batch.offset, image_size=batch.image_size)
