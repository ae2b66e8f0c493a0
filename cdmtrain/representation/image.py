"""Dense images, made for a whole batch by one scatter."""

from torch import nn

from cdmtrain.batch import EventBatch, Image
from cdmtrain.representation.scale import LINEAR, Scale


class ImageRepresentation(nn.Module):
    """Each event as a dense image of one channel: deposited energy in MeV, or on another scale.

    Dark pixels are exactly 0 under every scale. An event without a lit pixel is a black image.

    Args:
        scale: of the energies.

    Shapes: EventBatch of B events -> Image (B, 1, S, S).
    """

    def __init__(self, *, scale: Scale = LINEAR) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, batch: EventBatch) -> Image:
        return Image(energy=batch.image(self.scale(batch.energy)))
