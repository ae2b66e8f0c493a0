"""Dense images, one scatter for a whole batch."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from cdmtrain.batch import EventBatch, Image
from cdmtrain.representation.scale import LINEAR, Scale


class ImageRepresentation(nn.Module):
    """Each event as a dense image of one channel: deposited energy in MeV, or what `scale` makes of it.

    Dark pixels are exactly 0 under every scale. On a processor, the memory of the images given last is used again once
    nobody holds them any more: darkening the pixels that were lit takes a tenth of the time of darkening all.

    Shapes: EventBatch of B events -> Image (B, 1, S, S). An event without a lit pixel is a black image.
    """

    def __init__(self, *, scale: Scale = LINEAR) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, batch: EventBatch) -> Image:
        size = batch.image_size
        place = batch.pixel.add(batch.event, alpha=size**2)
        dense = self._dark(batch.num_events * size**2, batch.energy)
        dense.scatter_(0, place, self.scale(batch.energy))  # pixels are unique: no order matters
        if _can_be_watched(dense):
            self._last = dense, place, dense._version
        return Image(energy=dense.view(batch.num_events, 1, size, size))

    def _dark(self, length: int, like: Tensor) -> Float[Tensor, " pixel"]:
        """Zeros, in the memory of the last images if those are of as many pixels, unchanged, and nobody's."""
        last: tuple[Tensor, Int[Tensor, " hit"], int] | None = self.__dict__.pop("_last", None)  # by one thread alone
        if last is not None and not torch.compiler.is_compiling():
            dense, place, version = last
            fits = len(dense) == length and dense.dtype == like.dtype and like.is_cpu
            if fits and dense._version == version and _holders(dense) == ALONE:
                return dense.index_fill_(0, place, 0)
        return like.new_zeros(length)


def _can_be_watched(dense: Tensor) -> bool:
    """Whether torch counts the changes and the holders of a tensor, and no gradient goes through it."""
    real = type(dense) is Tensor and dense.is_cpu  # the placeholders of an export are subclasses
    return real and not (dense.is_inference() or dense.requires_grad)


def _holders(tensor: Tensor) -> int:
    """Who holds the memory of a tensor: itself, its views, what autograd keeps; 0 where torch does not tell."""
    count = getattr(torch._C, "_storage_Use_Count", None)
    return 0 if count is None else int(count(tensor.untyped_storage()._cdata))


ALONE = _holders(torch.empty(1)) or -1  # that of a tensor nobody else holds
