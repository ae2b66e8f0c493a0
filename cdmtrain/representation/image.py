"""Dense images, one scatter for a whole batch."""

from torch import nn

from cdmtrain.batch import EventBatch, Image
from cdmtrain.representation.scale import LINEAR, Scale


class ImageRepresentation(nn.Module):
    """Each event as a dense image of one channel: deposited energy in MeV, or what `scale` makes of it.

    Dark pixels are exactly 0 under every scale.

    Shapes: EventBatch of B events -> Image (B, 1, S, S). An event without a lit pixel is a black image.
    """

    def __init__(self, *, scale: Scale = LINEAR) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, batch: EventBatch) -> Image:
        size = batch.image_size
        dense = batch.energy.new_zeros(batch.num_events * size**2)
        place = batch.event * size**2 + batch.pixel
        dense.scatter_(0, place, self.scale(batch.energy))  # pixels are unique: no order matters
        return Image(energy=dense.view(batch.num_events, 1, size, size))
