"""Dense images, one scatter for a whole batch."""

from torch import nn

from cdmtrain.batch import EventBatch, Image


class ImageRepresentation(nn.Module):
    """Each event as a dense image of one channel, deposited energy in MeV.

    Shapes: EventBatch of B events -> Image (B, 1, S, S). An event without a lit pixel is a black image.
    """

    def forward(self, batch: EventBatch) -> Image:
        size = batch.image_size
        dense = batch.energy.new_zeros(batch.num_events * size**2)
        dense.scatter_(0, batch.event * size**2 + batch.pixel, batch.energy)  # pixels are unique: no order matters
        return Image(energy=dense.view(batch.num_events, 1, size, size))
